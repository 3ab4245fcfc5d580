"""Row 13: what a night's features cost by the number of patients, and what that comes to for ``CLINIC`` of them.

The clinic's own event log is copied under new patient numbers until there are as many patients as asked for, and the
features of all of them are built from nothing (more than a night does, which builds those of changed patients alone).
Seconds a patient is the slope of a line through the sizes; what is said for ``CLINIC`` patients lies on that line.
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
TIMES = (1, 2, 4)  # the clinic, so many times over
QUICK_TIMES = (1, 2)


def rows(settings: Settings, quick: bool) -> list[MetricRow]:
    """Seconds by size, seconds a thousand patients, and seconds for ``CLINIC``; none without events."""
    events = event_log.scan_events(settings).collect()
    if events.is_empty():
        return []
    patients = events["subject_id"].n_unique()
    sizes, seconds = [], []
    for times in QUICK_TIMES if quick else TIMES:
        sizes.append(patients * times)
        seconds.append(_seconds(settings, events, times))
    slope, intercept = np.polyfit(sizes, seconds, 1)
    out = [_row(f"cost_features_seconds_{n}_patients", s, n) for n, s in zip(sizes, seconds, strict=True)]
    out.append(_row("cost_features_seconds_a_thousand_patients", 1000 * float(slope), max(sizes)))
    out.append(_row(f"cost_features_seconds_{CLINIC}_patients_by_slope", float(intercept + slope * CLINIC), max(sizes)))
    return out


def _seconds(settings: Settings, events: pl.DataFrame, times: int) -> float:
    """How long all features take for the clinic ``times`` over, in a workspace that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        copy = settings.model_copy(update={"home": Path(folder)})
        night = max(path.name for path in ledger.list_batches(settings))[:8]
        grown = pl.concat([_renamed(events, number) for number in range(times)])
        name = event_log.write_batch(copy, night, grown)
        ledger.write_entry(copy, ledger.LedgerEntry(night, name, [name]))
        started = time.monotonic()
        stage.run(copy, night)
        return time.monotonic() - started


def _renamed(events: pl.DataFrame, number: int) -> pl.DataFrame:
    """The events of as many other patients; the first copy keeps its numbers."""
    if number == 0:
        return events
    shift = number * 7_919
    ids = [pl.col(c) ^ shift for c in ("subject_id", "record", "parent", "encounter_id")]
    return events.with_columns(ids)


def _row(name: str, value: float, patients: int) -> MetricRow:
    return MetricRow.of(13, name, "all", Estimate(value, float("nan"), float("nan"), 1, patients))
