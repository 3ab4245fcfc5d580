"""Define and open a clinic's feature store: Feast over DuckDB and an online store.

A store directory has ``feature_store.yaml``, a registry and, with SQLite, ``online.db``. ``define_store`` writes the
first two; readers only need the directory. The configuration names its registry and its *project*, the name space of
its rows, so replacing that one file moves every reader from one filling of the store to the next at once.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feast import FeatureStore, FeatureView, FileSource, RepoConfig

from feature_repo.entities import subject
from feature_repo.store.services import build_service, find_groups, hash_schema

PROJECT = "pmlm"
REGISTRY = "registry.db"
CONFIG = "feature_store.yaml"
SQLITE: Mapping[str, Any] = {"type": "sqlite", "path": "online.db"}


def define_store(
    store_dir: Path, features: Path, online: Mapping[str, Any] = SQLITE, project: str = PROJECT
) -> FeatureStore:
    """Open the store of today's definitions over the ``features`` files, registering it first if new.

    ``online`` is Feast's configuration of an online store (``feature_repo.store.online_stores``). The registry is
    put in place whole, then the configuration that names what it was made of; it may contain a password, so only its
    owner may read it.
    """
    store_dir.mkdir(parents=True, exist_ok=True)
    name = name_registry(project)
    stated = f"# {hash_schema()} over {features.resolve()}\n" + _to_yaml(_build_config(name, online, project))
    config, registry = store_dir / CONFIG, store_dir / name
    if not registry.exists() or not config.exists() or config.read_text() != stated:
        fresh = store_dir.resolve() / f".{name}.part"
        fresh.unlink(missing_ok=True)
        rooted = [_place_view(module.view, module.source, features) for module in find_groups().values()]
        unregistered = FeatureStore(
            config=RepoConfig(repo_path=store_dir, **_build_config(str(fresh), online, project))
        )
        unregistered.apply([subject, *rooted, build_service(rooted)])
        fresh.replace(registry)
        config.unlink(missing_ok=True)
        config.touch(mode=0o600)
        config.write_text(stated)
    return open_store(store_dir)


def open_store(store_dir: Path) -> FeatureStore:
    """Open the store that ``define_store`` left; raises ``FileNotFoundError`` without one."""
    if not (store_dir / CONFIG).exists():
        raise FileNotFoundError(store_dir / CONFIG)
    return FeatureStore(repo_path=str(store_dir))


def read_online_config(store_dir: Path) -> Mapping[str, Any] | None:
    """Return the ``online_store`` section of the store that ``define_store`` left; None without one."""
    config = store_dir / CONFIG
    if not config.exists():
        return None
    found: dict[str, Any] = json.loads(config.read_text().split("\n", 1)[1])["online_store"]
    return found


def name_registry(project: str) -> str:
    """Return the registry's file name: one per filling of a server's store, one for SQLite."""
    return REGISTRY if project == PROJECT else f"registry-{project}.db"


def _to_yaml(config: Mapping[str, Any]) -> str:
    """Write as JSON (it is YAML), ``$`` escaped: Feast expands ``$NAME``."""
    return json.dumps(config, ensure_ascii=False, sort_keys=True).replace("$", "\\u0024") + "\n"


def _build_config(registry: str, online: Mapping[str, Any], project: str) -> dict[str, Any]:
    return {
        "project": project,
        "provider": "local",
        "registry": {"path": registry, "cache_ttl_seconds": 0},  # 0: cached for the life of the process
        "online_store": dict(online),
        "offline_store": {"type": "duckdb"},
        "entity_key_serialization_version": 3,
    }


def _place_view(view: FeatureView, source: FileSource, features: Path) -> FeatureView:
    """Copy the view over this clinic's files, by absolute path."""
    rooted = copy.copy(view)
    rooted.batch_source = FileSource(
        name=source.name,
        path=str(features.resolve() / view.name / "*.parquet"),
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
    )
    return rooted
