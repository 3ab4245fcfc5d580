"""Spill rows to disk and read them back in shares; store hash sets compactly.

A share is a range of a key, and a key is a hash: shares are of similar size, whatever a drop holds. Rows of one key
are in one share, in the order in which they were written.
"""

from __future__ import annotations

import shutil
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from pmlm.settings import Settings
from pmlm.storage import raise_system_errors

SHARE_ROWS = 1 << 16  # about as many rows per share
LARGEST_KEY = (1 << 63) - 1  # the smallest is 0
_ROW_GROUP = 4096  # the fewest rows read of a file for a share


def _root(settings: Settings) -> Path:
    return settings.workspace / "data" / "aside"  # the folder's name in a workspace is fixed


@contextmanager
def create_folder(settings: Settings) -> Iterator[Path]:
    """Create the clinic's one private spill folder, empty; remove it when the block ends."""
    clear(settings)
    _root(settings).mkdir(parents=True, mode=0o700)
    try:
        yield _root(settings)
    finally:
        clear(settings)


def clear(settings: Settings) -> None:
    """Remove what a killed import has spilled."""
    shutil.rmtree(_root(settings), ignore_errors=True)


def write_rows(place: Path, rows: pl.DataFrame, key: str) -> None:
    """Append rows to a place; ``key`` is the place's key column."""
    if rows.is_empty():
        return
    place.mkdir(exist_ok=True)
    path = place / f"{sum(1 for _ in place.iterdir()):08}.parquet"
    with raise_system_errors(path):
        rows.sort(key, maintain_order=True).write_parquet(path, compression="lz4", row_group_size=_ROW_GROUP)


def count_shares(*places: Path) -> int:
    """The number of shares to read places back in; 0 without rows."""
    most = max(sum(pq.read_metadata(path).num_rows for path in place.glob("*.parquet")) for place in places)
    return -(-most // SHARE_ROWS)


def read_share(place: Path, key: str, index: int, shares: int, schema: dict[str, Any]) -> pl.DataFrame:
    """The rows of one share; an empty frame of ``schema`` for an empty place."""
    width = LARGEST_KEY // shares + 1
    wanted = pl.col(key).is_between(index * width, min((index + 1) * width - 1, LARGEST_KEY))
    # one file at a time: reading all of them at once takes memory that grows with their number
    frames = [pl.scan_parquet(path).filter(wanted).collect() for path in sorted(place.glob("*.parquet"))]
    return pl.concat(frames) if frames else pl.DataFrame(schema=schema)


class HashSet:
    """An immutable set of 63-bit hashes, eight bytes per member, in ascending order."""

    __slots__ = ("_sorted",)

    def __init__(self, *parts: np.ndarray | array[int]) -> None:
        whole = np.unique(np.concatenate([np.asarray(part, dtype=np.int64) for part in (*parts, ())]))
        self._sorted = array("q", whole.tobytes())

    def find_index(self, value: int) -> int | None:
        """The 0-based rank of a member, or None for what is no member."""
        index = bisect_left(self._sorted, value)
        return index if index < len(self._sorted) and self._sorted[index] == value else None

    def __contains__(self, value: int) -> bool:
        return self.find_index(value) is not None

    def __or__(self, other: HashSet) -> HashSet:
        return HashSet(self._sorted, other._sorted)

    def __len__(self) -> int:
        return len(self._sorted)
