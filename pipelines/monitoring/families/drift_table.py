"""A drift family's table of independent sampling units, one night at a time.

A row is one sampling unit: a patient's day, a line read, a question, a rating. Twenty results of one blood draw are one
unit, or every busy morning would look like drift. Only columns are ever compared, so a table is *sealed* before it is
stored: each column is sorted by itself, and no row describes a patient any more. Of patients only their number is
stored, column by column: of a drop of several days the days of one patient are no independent units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from pmlm.settings import Settings
from pmlm.storage import atomic_write

#: Most sampling units per table and night; enough for a distance, small enough for a window of 30 nights.
SAMPLE = 5_000
#: Begins the name of a column that says whether another one has no value: ``yes`` or ``no``.
MISSING = "no value of "
#: Whose row it is; the only column that a sealed table has not.
PATIENT = "subject_id"
PATIENTS_OF = "patients of "


@dataclass(frozen=True, slots=True)
class DriftTable:
    """One table of a family: ``build`` computes it from the files ``sources``.

    ``build(settings, night, since)`` sees what the night made known after ``since``. Float64 columns are numbers,
    String columns categories, null is no value; no column is an identifier or a date, but
    ``PATIENT``. A table whose sources ``grow`` with later nights is sealed by its own night for good.
    """

    name: str
    unit: str
    sources: Callable[[Settings, str], list[Path]]
    build: Callable[[Settings, str, datetime], pl.DataFrame]
    grows: bool = False


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table of columns that are sorted each by itself, and how many patients have a value in each."""

    frame: pl.DataFrame = field(default_factory=pl.DataFrame)
    patients: dict[str, int] = field(default_factory=dict)

    def count_patients(self, column: str) -> int:
        """How many independent values a column has: one a patient, or all where rows are nobody's."""
        if column not in self.frame.columns:
            return 0
        return self.patients.get(column, self.frame.height - self.frame[column].null_count())


def seal_table(frame: pl.DataFrame) -> SealedTable:
    """Sort each column by itself, nulls last: numbers as Float64, all else as String."""
    columns, patients = [], {}
    for name in sorted(set(frame.columns) - {PATIENT}):
        series = frame[name]
        plain = series.cast(pl.Float64) if series.dtype.is_numeric() else series.cast(pl.String)
        columns.append(plain.sort(nulls_last=True).alias(name))
        if PATIENT in frame.columns:
            patients[name] = _count_independent(frame.filter(series.is_not_null())[PATIENT])
    return SealedTable(pl.DataFrame(columns), patients)


def _count_independent(patients: pl.Series) -> int:
    """Count the patients, by Kish's effective number: fewer where some have many more rows than others."""
    rows = patients.value_counts()["count"].to_numpy().astype(float)
    return round(float(rows.sum() ** 2 / (rows**2).sum())) if len(rows) else 0


def write_table(path: Path, table: SealedTable) -> None:
    """Write a sealed table; its numbers of patients are in the file's metadata."""
    with atomic_write(path) as temporary:
        counts = {PATIENTS_OF + name: str(count) for name, count in table.patients.items()}
        table.frame.write_parquet(temporary, metadata=counts)


def read_table(path: Path) -> SealedTable:
    """Read a sealed table; one that was written without numbers of patients has none."""
    found = pl.read_parquet_metadata(path).items()
    patients = {name.removeprefix(PATIENTS_OF): int(n) for name, n in found if name.startswith(PATIENTS_OF)}
    return SealedTable(pl.read_parquet(path), patients)
