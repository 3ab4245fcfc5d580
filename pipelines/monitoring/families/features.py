"""Features: the rows that tonight's records changed, one a patient and day."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl

from pipelines.monitoring.families.table import SAMPLE, Table, end_of
from pipelines.settings import Settings

#: Statistics of one signal that would only repeat its latest value's drift.
REPEATED = ("_previous", "_mean", "_sd", "_count", "_time", "_source")
#: Categories short enough to compare; other strings are provenance.
CATEGORIES = frozenset({"smoking", "language"})
DAYS_A_YEAR = 365.25


def feature_files(settings: Settings, night: str) -> list[Path]:
    """The night's file of each feature group."""
    return sorted(settings.features.glob(f"*/{night}.parquet"))


def _column(name: str, dtype: pl.DataType) -> pl.Expr | None:
    """How a feature enters the comparison, or None: numbers as they are, lists of codes by length, birth as age."""
    if name in {"subject_id", "event_timestamp"} or name.endswith(REPEATED):
        return None
    if name == "birth":
        age = (pl.col("event_timestamp") - pl.col("birth")).dt.total_days() / DAYS_A_YEAR
        return age.floor().alias("age")
    if dtype.is_numeric() or name in CATEGORIES:
        return pl.col(name)
    if isinstance(dtype, pl.List) and name.endswith("_codes"):
        return pl.col(name).list.len().alias(f"number of {name}")
    return None


def changed_rows(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row a patient and day whose features changed. Columns of different groups are not aligned: never a row."""
    columns: list[pl.DataFrame] = []
    for file in feature_files(settings, night):
        rows = pl.scan_parquet(file)
        schema = rows.collect_schema()
        kept = [e for name, dtype in schema.items() if (e := _column(name, dtype)) is not None]
        lot = pl.struct("subject_id", "event_timestamp").hash(seed=0)
        known = pl.col("event_timestamp").is_between(since, end_of(night), closed="right")
        chosen = rows.filter(known).sort(lot).head(SAMPLE)
        columns.append(chosen.select(kept).collect())
    return pl.concat(columns, how="horizontal_extend") if columns else pl.DataFrame()


TABLES = (Table("changed_rows", "changed patient-days", feature_files, changed_rows),)
