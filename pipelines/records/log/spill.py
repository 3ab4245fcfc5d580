"""Rows too many to hold: laid aside in a folder as they come, read back one share after the other.

A share is a range of a key, and a key is a hash: shares are of like size, whatever a drop holds. Rows of one key are
in one share, in the order in which they were laid.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from pmlm.settings import Settings

SHARE_ROWS = 1 << 16  # rows that a share holds, about
LARGEST_KEY = (1 << 63) - 1  # the largest key; the smallest is 0
_ROW_GROUP = 4096  # what is read of a file for a share, at least


def _root(settings: Settings) -> Path:
    return settings.workspace / "data" / "aside"


@contextmanager
def create_folder(settings: Settings) -> Iterator[Path]:
    """The clinic's one private folder to lay rows aside in, empty; it is gone when the block ends."""
    clear(settings)
    _root(settings).mkdir(parents=True, mode=0o700)
    try:
        yield _root(settings)
    finally:
        clear(settings)


def clear(settings: Settings) -> None:
    """Remove what an import that was killed has laid aside."""
    shutil.rmtree(_root(settings), ignore_errors=True)


def write_rows(place: Path, rows: pl.DataFrame, key: str) -> None:
    """Lay rows aside under a place; ``key`` is the column with their key, the same one for all of a place."""
    if rows.is_empty():
        return
    place.mkdir(exist_ok=True)
    path = place / f"{sum(1 for _ in place.iterdir()):08}.parquet"
    rows.sort(key, maintain_order=True).write_parquet(path, compression="lz4", row_group_size=_ROW_GROUP)


def count_shares(*places: Path) -> int:
    """In how many shares the rows of places are to be read back; 0 where nothing was laid."""
    most = max(sum(pq.read_metadata(path).num_rows for path in place.glob("*.parquet")) for place in places)
    return -(-most // SHARE_ROWS)


def read_share(place: Path, key: str, at: int, of: int, schema: dict[str, Any]) -> pl.DataFrame:
    """The rows of share ``at`` out of ``of``; a frame without rows where nothing was laid."""
    width = LARGEST_KEY // of + 1
    wanted = pl.col(key).is_between(at * width, min((at + 1) * width - 1, LARGEST_KEY))
    # file by file: read side by side, all of them together take memory that grows with their number
    found = [pl.scan_parquet(path).filter(wanted).collect() for path in sorted(place.glob("*.parquet"))]
    return pl.concat(found) if found else pl.DataFrame(schema=schema)
