"""Records: what happened to patients tonight (codes, values, busyness), and what was wrong with the lines read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl

from models.schema import DELETED
from models.vocabulary import SIGNAL_BY_CODE
from pipelines.monitoring.families.witnesses import SAMPLE, Table
from pipelines.records.log import ledger
from pmlm.settings import Settings

#: Kinds whose mix of codes is watched.
CODED = ("encounter", "condition", "observation", "medicine", "procedure")


def event_files(settings: Settings, night: str) -> list[Path]:
    """The event batches the night appended."""
    entry = ledger.entry(settings, night)
    return [settings.events / name for name in sorted(entry.batches)] if entry else []


def ledger_file(settings: Settings, night: str) -> list[Path]:
    """The night's account of its lines."""
    path = ledger.folder(settings) / f"{night}.json"
    return [path] if path.exists() else []


def patient_days(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row a patient and day: number of events, one drawn kind, one drawn code a kind, each signal's median.

    Drawn means: the event with the smallest keyed record hash, a fixed lot that neither order nor content decides.
    """
    files = event_files(settings, night)
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
        pl.len().alias("events a patient-day"),
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
    kept = days.sort("lot").head(SAMPLE)
    return kept.join(codes, on=key, how="left").join(signals, on=key, how="left").drop(*key, "lot")


def lines(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row a resource read: accepted, ignored, or the rule that held it; scaled down to ``SAMPLE`` rows."""
    entry = ledger.entry(settings, night)
    if entry is None:
        return pl.DataFrame()
    counts = {"accepted": entry.accounts.accepted, "ignored": entry.accounts.ignored, **entry.accounts.by_rule}
    scale = min(1.0, SAMPLE / max(1, sum(counts.values())))
    values = [outcome for outcome, n in sorted(counts.items()) for _ in range(round(n * scale))]
    return pl.DataFrame({"outcome of a line": pl.Series(values, dtype=pl.String)})


TABLES = (
    Table("patient_days", "patient-days", event_files, patient_days),
    Table("lines", "resources read", ledger_file, lines),
)
