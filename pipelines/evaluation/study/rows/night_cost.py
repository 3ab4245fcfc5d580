"""Row 13: seconds of a feature build by number of patients, extrapolated to ``CLINIC`` patients.

The clinic's event log is copied under new patient numbers to each size, and the features of all are built from nothing
(a night builds those of changed patients alone). Seconds per patient is the slope of a line through the sizes; the
figure for ``CLINIC`` patients is on that line.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.evaluation.nightly.intervals import Estimate
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.features.build import stage
from pipelines.records.log import event_log, ledger
from pmlm.settings import Settings

CLINIC = 10_000
TIMES = (1, 2, 4)  # copies of the clinic


def build_rows(settings: Settings) -> list[MetricRow]:
    """Build rows of seconds by size, per thousand patients, and for ``CLINIC``; none without events."""
    events = event_log.scan_events(settings).collect()
    if events.is_empty():
        return []
    patients = events["subject_id"].n_unique()
    sizes, seconds = [], []
    for times in TIMES:
        sizes.append(patients * times)
        seconds.append(_time_build(settings, events, times))
    slope, intercept = np.polyfit(sizes, seconds, 1)
    out = [_build_row(f"cost_features_seconds_{n}_patients", s, n) for n, s in zip(sizes, seconds, strict=True)]
    out.append(_build_row("cost_features_seconds_a_thousand_patients", 1000 * float(slope), max(sizes)))
    out.append(
        _build_row(f"cost_features_seconds_{CLINIC}_patients_by_slope", float(intercept + slope * CLINIC), max(sizes))
    )
    return out


def _time_build(settings: Settings, events: pl.DataFrame, times: int) -> float:
    """Time a full feature build for ``times`` copies of the clinic, in a temporary workspace."""
    with tempfile.TemporaryDirectory() as folder:
        copy = settings.model_copy(update={"home": Path(folder)})
        night = max(path.name for path in ledger.list_batches(settings))[:8]
        grown = pl.concat([_renumber(events, number) for number in range(times)])
        name = event_log.write_batch(copy, night, grown)
        ledger.write_entry(copy, ledger.LedgerEntry(night, name, [name]))
        started = time.monotonic()
        stage.run(copy, night)
        return time.monotonic() - started


def _renumber(events: pl.DataFrame, number: int) -> pl.DataFrame:
    """Give a copy's events new patient and record numbers; the first copy is unchanged."""
    if number == 0:
        return events
    shift = number * 7_919
    ids = [pl.col(c) ^ shift for c in ("subject_id", "record", "parent", "encounter_id")]
    return events.with_columns(ids)


def _build_row(name: str, value: float, patients: int) -> MetricRow:
    return MetricRow.of(13, name, "all", Estimate(value, float("nan"), float("nan"), 1, patients))
