"""What a family of drift is made of: tables of independent witnesses, one night at a time.

A row is one *witness*: a patient's day, a line read, a question, a rating. Twenty results of one blood draw are one
witness, or every busy morning would look like drift. Only columns are ever compared, so a table is
*sealed* before it is kept: each column is sorted by itself, and no row is a patient any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from pmlm.settings import Settings

#: Witnesses kept of one table and night; enough for a distance, small enough for a window of 30 nights.
SAMPLE = 5_000


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a family. ``sources`` are the files it is computed from, ``build`` computes it.

    ``build(settings, night, since)`` sees what the night made known after ``since``; its Float64 columns are numbers,
    its String columns categories, null means no value. It holds no identifier and no date.
    """

    name: str
    unit: str
    sources: Callable[[Settings, str], list[Path]]
    build: Callable[[Settings, str, datetime], pl.DataFrame]


def end_of(night: str) -> datetime:
    """The last moment of a night's day, ``YYYYMMDD`` → 23:59:59.999999 UTC."""
    return datetime.strptime(night, "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=1, microseconds=-1)


def sealed(frame: pl.DataFrame) -> pl.DataFrame:
    """Numbers as Float64, everything else as String, each column sorted by itself with nulls last."""
    columns = []
    for name in sorted(frame.columns):
        series = frame[name]
        kept = series.cast(pl.Float64) if series.dtype.is_numeric() else series.cast(pl.String)
        columns.append(kept.sort(nulls_last=True).alias(name))
    return pl.DataFrame(columns)
