"""Drift of records: codes, values and counts per patient-day, and outcomes of the lines read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl

from models.schema import DELETED
from models.vocabulary import SIGNAL_BY_CODE
from pipelines.monitoring.families.drift_table import SAMPLE, DriftTable
from pipelines.records.log import ledger
from pmlm.settings import Settings

#: Kinds whose mix of codes is watched.
CODED = ("encounter", "condition", "observation", "medicine", "procedure")


def list_event_files(settings: Settings, night: str) -> list[Path]:
    """List the event batches that the night appended."""
    entry = ledger.read_entry(settings, night)
    return [settings.events / name for name in sorted(entry.batches)] if entry else []


def find_ledger_file(settings: Settings, night: str) -> list[Path]:
    """Find the night's ledger entry, which counts its lines."""
    path = ledger.folder(settings) / f"{night}.json"
    return [path] if path.exists() else []


def build_patient_days(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row per patient-day: event count, one kind, one code per kind, signal medians.

    Kind and code are of the event with the smallest keyed record hash: a draw that neither order nor content affects.
    """
    files = list_event_files(settings, night)
    if not files:
        return pl.DataFrame()
    events = (
        pl.scan_parquet(files)
        .filter((pl.col("known_at") > since) & (pl.col("code") != DELETED))
        .with_columns(pl.col("known_at").dt.date().alias("day"))
        .collect()
    )
    key = ["subject_id", "day"]
    lot = ["record", "known_at", "code"]
    days = events.group_by(key).agg(
        pl.len().alias("events per patient-day"),
        pl.col("kind").sort_by(lot).first().alias("kind"),
        pl.col("record").min().alias("lot"),
    )
    codes = (
        events.filter(pl.col("kind").is_in(CODED))
        .group_by([*key, "kind"])
        .agg(pl.col("code").sort_by(lot).first())
        .with_columns(("code of " + pl.col("kind")).alias("kind"))
        .pivot("kind", index=key, values="code")
    )
    names = {code: signal.name for code, signal in SIGNAL_BY_CODE.items()}
    signals = (
        events.filter(pl.col("code").is_in(list(names)) & pl.col("numeric_value").is_not_null())
        .with_columns(pl.col("code").replace_strict(names).alias("signal"))
        .group_by([*key, "signal"])
        .agg(pl.col("numeric_value").median())
        .pivot("signal", index=key, values="numeric_value")
    )
    sample = days.sort("lot").head(SAMPLE)
    return sample.join(codes, on=key, how="left").join(signals, on=key, how="left").drop("day", "lot")


def build_lines(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row per resource read: accepted, ignored, or the rule that quarantined it.

    Counts are scaled down to ``SAMPLE`` rows.
    """
    entry = ledger.read_entry(settings, night)
    if entry is None:
        return pl.DataFrame()
    counts = {"accepted": entry.accounts.accepted, "ignored": entry.accounts.ignored, **entry.accounts.by_rule}
    scale = min(1.0, SAMPLE / max(1, sum(counts.values())))
    values = [outcome for outcome, n in sorted(counts.items()) for _ in range(round(n * scale))]
    return pl.DataFrame({"outcome of a line": pl.Series(values, dtype=pl.String)})


TABLES = (
    DriftTable("patient_days", "patient-days", list_event_files, build_patient_days),
    DriftTable("lines", "resources read", find_ledger_file, build_lines),
)
