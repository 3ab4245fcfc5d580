"""One patient's features as of now, from the online store: what the endpoint reads, in one call.

How the rows are asked for is ``feature_repo.store.online_values``; where they lie, Feast says. The store is opened
once a process and again when a night has put a new one in place (the files' identity says so), so that a served
answer is never from a store that was replaced. A store that does not answer costs its caller at most ``PATIENCE_S``
and is a :class:`StoreDownError`; the next read opens it anew, so a store that comes back is found.
"""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from feature_repo.store.deadline import Deadline
from feature_repo.store.feast_store import CONFIG, REGISTRY, SQLITE, open_store
from feature_repo.store.online_values import ReadValues, build_reader
from feature_repo.store.rows import cast_row
from models.schema import FeatureRow

#: Seconds a request waits for the online store; an answer takes milliseconds.
PATIENCE_S = 3.0
#: For neither Feast nor every driver has a time limit for a silent server.
_DEADLINE = Deadline(PATIENCE_S)


#: A store whose file was written this recently is read each time: two writes may bear the same time.
SETTLED_S = 2.0

_Stamps = tuple[tuple[int, int] | None, ...]


class StoreDownError(Exception):
    """The online store did not answer in time, or not at all."""


def read(store_dir: Path, subject_id: int, patience_s: float = PATIENCE_S) -> FeatureRow | None:
    """The patient's latest features, or None where the store knows nothing of her (or nothing was ever materialised).

    ``as_of`` in the row is the moment it is true of. Raises :class:`StoreDownError` after ``patience_s`` at the latest.
    """
    stamps = _stat_files(store_dir)
    file = stamps[2]
    if file is not None and time.time() - file[1] / 1e9 > SETTLED_S:
        return _read_cached(store_dir, stamps, subject_id, patience_s)
    return _read_row(store_dir, stamps, subject_id, patience_s)


@lru_cache(maxsize=2000)
def _read_cached(store_dir: Path, stamps: _Stamps, subject_id: int, patience_s: float) -> FeatureRow | None:
    """The row as long as the store's files are those of ``stamps``; only a file says by itself that it has changed."""
    return _read_row(store_dir, stamps, subject_id, patience_s)


def _read_row(store_dir: Path, stamps: _Stamps, subject_id: int, patience_s: float) -> FeatureRow | None:
    if stamps[0] is None:
        return None
    try:
        ask, a_file = _open_reader(store_dir, stamps)
        # a file cannot hang as a server can, and a thread costs more than reading it
        values = ask(subject_id) if a_file else _DEADLINE.run(lambda: ask(subject_id), patience_s)
    except Exception as error:
        # nothing asked here depends on the request but a number: whatever fails, the store is what failed
        _open_reader.cache_clear()
        raise StoreDownError(f"the online store does not answer: {type(error).__name__}") from error
    if values.get("as_of") is None:
        return None
    return MappingProxyType(cast_row(values))


def _stat_files(store_dir: Path) -> _Stamps:
    return tuple(_stat_file(file) for file in _list_files(store_dir))


@lru_cache(maxsize=4)
def _list_files(store_dir: Path) -> tuple[Path, ...]:
    database = str(SQLITE["path"])
    return tuple(store_dir / name for name in (CONFIG, REGISTRY, database, f"{database}-wal"))


def _stat_file(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


@lru_cache(maxsize=4)
def _open_reader(store_dir: Path, _stamps: _Stamps) -> tuple[ReadValues, bool]:
    """How to ask the store of these files, and whether it is a file itself."""
    store = open_store(store_dir)
    return build_reader(store), store.config.online_store.type == SQLITE["type"]
