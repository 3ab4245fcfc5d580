"""Read one patient's current features from the online store, as the endpoint does.

The store is opened once per process, and again when a night has replaced it (the files' identity says so), so no
answer is from a replaced store. A store that does not answer costs its caller at most ``PATIENCE_S`` and raises
:class:`StoreDownError`; the next read opens it again, so a store that comes back is found.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from feature_repo.store.deadline import Deadline
from feature_repo.store.feast_internals import read_store_type
from feature_repo.store.feast_store import CONFIG, REGISTRY, SQLITE, open_store
from feature_repo.store.online_values import ReadValues, build_reader
from feature_repo.store.rows import cast_row
from models.schema import FeatureRow

#: Seconds a request waits for the online store; an answer takes milliseconds.
PATIENCE_S = 3.0
#: Neither Feast nor every driver has a timeout for a silent server.
_DEADLINE = Deadline(PATIENCE_S)
#: A store file written this recently is read every time: two writes may have the same time.
SETTLED_S = 2.0

_Stamps = tuple[tuple[int, int] | None, ...]


class StoreDownError(Exception):
    """The online store did not answer in time, or not at all."""


def read(store_dir: Path, subject_id: int, patience_s: float = PATIENCE_S) -> FeatureRow | None:
    """Read a patient's latest features; None for an unknown patient, or without a store.

    ``as_of`` in the row is its as-of time. Raises :class:`StoreDownError` after ``patience_s`` at the latest.
    """
    stamps = _stat_files(store_dir)
    file = stamps[2]
    if file is not None and time.time() - file[1] / 1e9 > SETTLED_S:
        return _read_cached(store_dir, stamps, subject_id, patience_s)
    return _read_row(store_dir, stamps, subject_id, patience_s)


@lru_cache(maxsize=2000)
def _read_cached(store_dir: Path, stamps: _Stamps, subject_id: int, patience_s: float) -> FeatureRow | None:
    """Read a row of a file store once per state of its files (``stamps``)."""
    return _read_row(store_dir, stamps, subject_id, patience_s)


def _read_row(store_dir: Path, stamps: _Stamps, subject_id: int, patience_s: float) -> FeatureRow | None:
    if stamps[0] is None:
        return None
    try:
        read_values, is_file = _open_reader(store_dir, stamps)
        # a file does not hang as a server may, and a thread costs more than reading it
        values = read_values(subject_id) if is_file else _DEADLINE.run(lambda: read_values(subject_id), patience_s)
    except Exception as error:
        # the request contributes a number alone: whatever fails, it is the store
        _open_reader.cache_clear()
        raise StoreDownError(f"the online store does not answer: {type(error).__name__}") from error
    if values.get("as_of") is None:
        return None
    return MappingProxyType(cast_row(values))


def _stat_files(store_dir: Path) -> _Stamps:
    return tuple(_stat_file(file) for file in _list_files(store_dir))


@lru_cache(maxsize=4)
def _list_files(store_dir: Path) -> tuple[str, ...]:
    database = str(SQLITE["path"])
    return tuple(str(store_dir / name) for name in (CONFIG, REGISTRY, database, f"{database}-wal"))


def _stat_file(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - four times for every question; a path's own takes twice as long
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


@lru_cache(maxsize=4)
def _open_reader(store_dir: Path, _stamps: _Stamps) -> tuple[ReadValues, bool]:
    """Open the store; return its reader and whether it is a file."""
    store = open_store(store_dir)
    return build_reader(store), read_store_type(store) == SQLITE["type"]
