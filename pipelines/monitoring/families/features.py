"""Drift of features: the rows that tonight's records changed, per patient and day."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl

from pipelines.features.engines.feature_files import list_night_files
from pipelines.monitoring.families.drift_table import MISSING, PATIENT, SAMPLE, DriftTable
from pipelines.night_dates import end_of_night
from pmlm.settings import Settings

#: Statistics of one signal that would only repeat its latest value's drift.
REPEATED = ("_previous", "_mean", "_sd", "_count", "_time", "_source")
#: Nearly one value for everybody, so that one step of rounding would look like drift of all patients.
SHARED = "cohort_"
#: Counts since the first day, which rise by themselves with every night.
ACCUMULATED = frozenset({"ratings"})
#: Categories short enough to compare; other strings are provenance.
CATEGORIES = frozenset({"smoking", "language"})
DAYS_A_YEAR = 365.25
PEERS = "peers"
#: What a model says of a patient changes with the model: that is no drift of the record.
MODELLED = frozenset({PEERS, "trajectory"})


def list_own_files(settings: Settings, night: str) -> list[Path]:
    """List the night's file of each group about the patient's own record."""
    return [f for f in list_night_files(settings.features, "*", night) if f.parent.name not in MODELLED]


def list_peer_files(settings: Settings, night: str) -> list[Path]:
    """List the night's file of peer features, which change with other patients' records too."""
    return list_night_files(settings.features, PEERS, night)


def _express_column(name: str, dtype: pl.DataType) -> pl.Expr | None:
    """Express a feature for comparison: numbers unchanged, code lists by length, birth as age."""
    if name in ACCUMULATED | {PATIENT, "event_timestamp"} or name.endswith(REPEATED) or name.startswith(SHARED):
        return None
    if name == "birth":
        age = (pl.col("event_timestamp") - pl.col("birth")).dt.total_days() / DAYS_A_YEAR
        return age.floor().alias("age")
    if dtype.is_numeric() or name in CATEGORIES:
        return pl.col(name)
    if isinstance(dtype, pl.List) and name.endswith("_codes"):
        return pl.col(name).list.len().alias(f"number of {name}")
    return None


def _express_absence(column: pl.Expr) -> pl.Expr:
    """Express whether a compared feature is null, in a column of its own: nulls are not compared as values."""
    absent = pl.when(column.is_null()).then(pl.lit("yes")).otherwise(pl.lit("no"))
    return absent.alias(MISSING + column.meta.output_name())


def build_own_features(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row per patient and day whose own features changed."""
    return _sample_columns(list_own_files(settings, night), night, since)


def build_peer_features(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row per patient and day whose peers' aggregates changed."""
    return _sample_columns(list_peer_files(settings, night), night, since)


def _sample_columns(files: list[Path], night: str, since: datetime) -> pl.DataFrame:
    key = (PATIENT, "event_timestamp")
    columns: list[pl.DataFrame] = []
    for file in files:
        rows = pl.scan_parquet(file)
        schema = rows.collect_schema().items()
        compared = [e for name, dtype in schema if (e := _express_column(name, dtype)) is not None]
        random_order = pl.struct(key).hash(seed=0)
        known = pl.col("event_timestamp").is_between(since, end_of_night(night), closed="right")
        absent = [_express_absence(e) for e in compared]
        columns.append(rows.filter(known).sort(random_order).head(SAMPLE).select(*key, *compared, *absent).collect())
    return pl.concat(columns, how="align_full").drop("event_timestamp") if columns else pl.DataFrame()


TABLES = (
    DriftTable("own_features", "changed patient-days", list_own_files, build_own_features),
    DriftTable("peer_features", "patient-days with other peers", list_peer_files, build_peer_features),
)
