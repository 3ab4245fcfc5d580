"""A drift family's table of independent sampling units, one night at a time.

A row is one sampling unit: a patient's day, a line read, a question, a rating. Twenty results of one blood draw are one
unit, or every busy morning would look like drift. Only columns are ever compared, so a table is *sealed* before it is
stored: each column is sorted by itself, and no row describes a patient any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from pmlm.settings import Settings

#: Most sampling units per table and night; enough for a distance, small enough for a window of 30 nights.
SAMPLE = 5_000
#: Begins the name of a column that says whether another one has no value: ``yes`` or ``no``.
MISSING = "no value of "


@dataclass(frozen=True, slots=True)
class DriftTable:
    """One table of a family: ``build`` computes it from the files ``sources``.

    ``build(settings, night, since)`` sees what the night made known after ``since``. Float64 columns are numbers,
    String columns categories, null is no value; no column is an identifier or a date. A table whose sources ``grow``
    with later nights is sealed by its own night for good.
    """

    name: str
    unit: str
    sources: Callable[[Settings, str], list[Path]]
    build: Callable[[Settings, str, datetime], pl.DataFrame]
    grows: bool = False


def seal_table(frame: pl.DataFrame) -> pl.DataFrame:
    """Sort each column by itself, nulls last: numbers as Float64, all else as String."""
    columns = []
    for name in sorted(frame.columns):
        series = frame[name]
        plain = series.cast(pl.Float64) if series.dtype.is_numeric() else series.cast(pl.String)
        columns.append(plain.sort(nulls_last=True).alias(name))
    return pl.DataFrame(columns)
