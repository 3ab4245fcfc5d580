"""One patient's features as of now, from the online store: what the endpoint reads, in one call.

The store is opened once a process and again when a night has put a new one in place (the files' identity says so), so
that a served answer is never from a store that was replaced.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from feast import FeatureService, FeatureStore

from feature_repo.rows import typed
from feature_repo.services import SERVICE
from feature_repo.store import CONFIG, REGISTRY, SQLITE, open_store
from models.schema import FeatureRow


def read(store_dir: Path, subject_id: int) -> FeatureRow | None:
    """The patient's latest features, or None where the store knows nothing of her (or nothing was ever materialised).

    ``as_of`` in the row is the moment it is true of. Raises what the configured online store raises when it is down.
    """
    stamps = tuple(_stamp(store_dir / name) for name in (CONFIG, REGISTRY, str(SQLITE["path"])))
    if stamps[1] is None:
        return None
    store, service = _opened(store_dir, stamps)
    answer = store.get_online_features(features=service, entity_rows=[{"subject_id": subject_id}]).to_dict()
    row = typed({name: values[0] for name, values in answer.items()})
    return None if row["as_of"] is None else row


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


@lru_cache(maxsize=4)
def _opened(store_dir: Path, _stamps: tuple[tuple[int, int] | None, ...]) -> tuple[FeatureStore, FeatureService]:
    store = open_store(store_dir)
    return store, store.get_feature_service(SERVICE)
