"""Measure first builds (rows ``self_features`` and ``self_features_history``) without peers.

The first is of a clinic whose whole past became known in one night: one row per patient and group. The second is of
one whose past became known day by day: a row per day on which a patient's record changed. Each runs in a process of
its own, so that its peak is the build's, with the libraries it imports.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.features.clinic import create_clinic, take_in_copies
from benchmarks.features.ingest import read_peak_mib
from benchmarks.serving.figures import row
from pmlm.settings import Settings

NIGHT = "20260601"
TARGET, MOST_GIB = 1.5e6, 2e9 / 2**30

Row = dict[str, Any]


def measure_builds(events: pl.DataFrame, patients: int, with_history: int) -> Iterator[Row]:
    """Measure events per second, processor seconds, feature rows and peak memory of both clinics."""
    made = _measure(events, patients, at_once=True)
    speed = made["events"] / made["wall_s"]
    holds = speed >= TARGET and made["peak_gib"] <= MOST_GIB
    target = ">= 1.5 million events/s, <= 2 GB"
    yield row("self_features", speed, "events/s", made.pop("events"), target=target, holds=holds, **made)
    made = _measure(events, with_history, at_once=False)
    speed = made["events"] / made["wall_s"]
    holds = made["peak_gib"] <= MOST_GIB
    yield row("self_features_history", speed, "events/s", made.pop("events"), target="<= 2 GB", holds=holds, **made)


def _measure(events: pl.DataFrame, patients: int, *, at_once: bool) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        taken = take_in_copies(create_clinic(Path(folder), "self"), NIGHT, events, patients, at_once=at_once)
        command = [sys.executable, "-m", "benchmarks.features.self_features", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: Row = json.loads(done.stdout.splitlines()[-1])
    return {"events": taken} | figures


def _build(folder: Path) -> Row:
    """Build all groups but peers of the clinic below ``folder``, as the night does."""
    from pipelines.features.build import stage
    from pipelines.records.log import ledger
    from pipelines.runs import StageSummary

    settings = Settings(home=folder / "state", drops=folder / "self", key_dir=folder / "keys")
    files, summary = sorted(ledger.list_batches(settings)), StageSummary("features", NIGHT)
    plans = stage.plan_groups(settings, NIGHT, {f.name: NIGHT for f in files})
    del plans["peers"]
    imported = read_peak_mib()
    wall, processor = time.perf_counter(), time.process_time()
    stage.build_groups(settings, files, plans, summary)
    return {
        "wall_s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(time.process_time() - processor, 2),
        "rows": summary.rows_out,
        "peak_gib": round(read_peak_mib() / 1024, 2),
        "imports_gib": round(imported / 1024, 2),
    }


if __name__ == "__main__":
    print(json.dumps(_build(Path(sys.argv[1]))))  # noqa: T201
