"""Features: the rows that tonight's records changed, one a patient and day."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl

from pipelines.monitoring.families.witnesses import SAMPLE, Table, end_of
from pmlm.settings import Settings

#: Statistics of one signal that would only repeat its latest value's drift.
REPEATED = ("_previous", "_mean", "_sd", "_count", "_time", "_source")
#: Categories short enough to compare; other strings are provenance.
CATEGORIES = frozenset({"smoking", "language"})
DAYS_A_YEAR = 365.25
PEERS = "peers"
#: What a model says of her changes with the model: that is no drift of her record.
MODELLED = frozenset({PEERS, "trajectory"})


def own_files(settings: Settings, night: str) -> list[Path]:
    """The night's file of each group that is about the patient herself."""
    return sorted(f for f in settings.features.glob(f"*/{night}.parquet") if f.parent.name not in MODELLED)


def peer_files(settings: Settings, night: str) -> list[Path]:
    """The night's file of what is said of her peers, which changes with other women's records too."""
    return sorted(settings.features.glob(f"{PEERS}/{night}.parquet"))


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


def own(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row a patient and day whose own features changed. Groups are not aligned: never a row of one patient."""
    return _compared(own_files(settings, night), night, since)


def peers(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row a patient and day whose peers' aggregates changed."""
    return _compared(peer_files(settings, night), night, since)


def _compared(files: list[Path], night: str, since: datetime) -> pl.DataFrame:
    columns: list[pl.DataFrame] = []
    for file in files:
        rows = pl.scan_parquet(file)
        kept = [e for name, dtype in rows.collect_schema().items() if (e := _column(name, dtype)) is not None]
        lot = pl.struct("subject_id", "event_timestamp").hash(seed=0)
        known = pl.col("event_timestamp").is_between(since, end_of(night), closed="right")
        columns.append(rows.filter(known).sort(lot).head(SAMPLE).select(kept).collect())
    return pl.concat(columns, how="horizontal_extend") if columns else pl.DataFrame()


TABLES = (
    Table("own_features", "changed patient-days", own_files, own),
    Table("peer_features", "patient-days with other peers", peer_files, peers),
)
