"""Opens a clinic's feature store: Feast over DuckDB (offline) and SQLite (online, by default).

A store directory holds ``feature_store.yaml``, ``registry.db`` and, with SQLite, ``online.db``. ``define`` writes the
first two; readers only need the directory. Another online store is another ``online`` section, ``{"type": "redis",
"connection_string": …}`` or ``{"type": "postgres", …}`` in Feast's own words; readers find it in the directory.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from feast import FeatureStore, FeatureView, FileSource, RepoConfig

from feature_repo.entities import subject
from feature_repo.services import groups, schema_hash, service

PROJECT = "pmlm"
REGISTRY = "registry.db"
CONFIG = "feature_store.yaml"
SQLITE: Mapping[str, Any] = {"type": "sqlite", "path": "online.db"}


def define(store_dir: Path, features: Path, online: Mapping[str, Any] = SQLITE) -> FeatureStore:
    """The store of the current definitions over the feature files below ``features``, registered where that is new.

    The registry is put in place whole, then the configuration that names what it was made of.
    """
    store_dir.mkdir(parents=True, exist_ok=True)
    stated = f"# {schema_hash()} over {features.resolve()}\n" + yaml.safe_dump(_config(REGISTRY, online))
    config, registry = store_dir / CONFIG, store_dir / REGISTRY
    if not registry.exists() or not config.exists() or config.read_text() != stated:
        fresh = store_dir.resolve() / f".{REGISTRY}.part"
        fresh.unlink(missing_ok=True)
        rooted = [_rooted(module.view, module.source, features) for module in groups().values()]
        unregistered = FeatureStore(config=RepoConfig(repo_path=store_dir, **_config(str(fresh), online)))
        unregistered.apply([subject, *rooted, service(rooted)])
        fresh.replace(registry)
        config.write_text(stated)
    return open_store(store_dir)


def open_store(store_dir: Path) -> FeatureStore:
    """The store that ``define`` left in ``store_dir``; raises ``FileNotFoundError`` where there is none."""
    if not (store_dir / REGISTRY).exists():
        raise FileNotFoundError(store_dir / REGISTRY)
    return FeatureStore(repo_path=str(store_dir))


def _config(registry: str, online: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "project": PROJECT,
        "provider": "local",
        "registry": {"path": registry, "cache_ttl_seconds": 0},  # 0: once read, kept for the life of the process
        "online_store": dict(online),
        "offline_store": {"type": "duckdb"},
        "entity_key_serialization_version": 3,
    }


def _rooted(view: FeatureView, source: FileSource, features: Path) -> FeatureView:
    """The view over this clinic's files: Feast's DuckDB store reads a relative path from the process's own folder."""
    rooted = copy.copy(view)
    rooted.batch_source = FileSource(
        name=source.name,
        path=str(features.resolve() / view.name / "*.parquet"),
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
    )
    return rooted
