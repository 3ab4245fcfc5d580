"""``make bench-features``: measure the feature store and write ``results/features.json``.

With the defaults it takes three quarters of an hour on two idle cores, 10 GiB of memory and as much disk; ``--women``
sets the size. ``load`` in a row is the machine's load average when the row was measured: above the number of cores,
times are too long. ``--only`` measures some rows again and leaves the others.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.features import ingest, peers, self_features, stores
from benchmarks.features.clinic import (
    create_clinic,
    read_sample_events,
    take_in_copies,
    take_in_news,
)
from benchmarks.serving.figures import percentile, row, slope
from feature_repo.store import online
from pipelines.features.build import stage
from pipelines.features.online import materialise
from pmlm.settings import Settings

RESULTS = Path(__file__).parents[1] / "results" / "features.json"
HISTORY, NEXT = "20260601", "20260602"
READS, READS_PER_SECOND = 1000, 200

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--women", type=int, default=100_000, help="patients of the largest clinic of nights")
    parser.add_argument("--copies", type=int, default=3, help="of the sample clinic's history, to take in")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the training set")
    parser.add_argument(
        "--feast-rows", type=int, default=2000, help="of them, those that Feast's default store answers"
    )
    parser.add_argument("--only", nargs="*", help="parts to run: ingest self_features nights increment peers")
    parser.add_argument("--donors", type=int, default=1_000_000, help="patients of the neighbour search")
    asked = parser.parse_args()
    events = cache(read_sample_events)
    rows: list[Row] = []
    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "ingest": lambda: ingest.measure_ingest(asked.copies),
        "self_features": lambda: self_features.measure_builds(events(), 5 * asked.women, asked.women // 10),
        "nights": lambda: _measure_nights(events(), asked.women, asked.rows, asked.feast_rows),
        "peers": lambda: peers.measure_peers(events(), asked.donors),
    }
    if asked.only:  # else the nights measure it
        parts["increment"] = lambda: _measure_increment(events(), asked.women)
    for name, part in parts.items():
        if asked.only and name not in asked.only:
            continue
        for measured in part():
            rows.append(measured | {"load": round(os.getloadavg()[0], 1)})
            print(json.dumps(rows[-1]), flush=True)  # noqa: T201
            if asked.only:
                _write_results(rows[-1:], keep_others=True)
    if not asked.only:
        _write_results(rows)


def _write_results(rows: list[Row], *, keep_others: bool = False) -> None:
    """Write rows, over those of the same names or over all."""
    RESULTS.parent.mkdir(exist_ok=True)
    before = json.loads(RESULTS.read_text()) if keep_others and RESULTS.exists() else []
    names = {measured["name"] for measured in rows}
    others = [measured for measured in before if measured["name"] not in names]
    RESULTS.write_text(json.dumps([*others, *rows], indent=1) + "\n")


def _time(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    with redirect_stdout(StringIO()):
        call()
    return time.perf_counter() - started


def _measure_nights(events: pl.DataFrame, patients: int, asked: int, by_feast: int) -> Iterator[Row]:
    """Measure whole nights at three sizes, one with 1 % changes, reads, and Feast's own ways.

    Feast's own ways are measured on the smaller clinics: over the largest they would take hours.
    """
    sizes = [patients // 100, patients // 10, patients]
    with tempfile.TemporaryDirectory() as folder:
        clinics = [create_clinic(Path(folder), f"women{size}") for size in sizes]
        taken = []
        for size, settings in zip(sizes, clinics, strict=True):
            take_in_copies(settings, HISTORY, events, size, at_once=False)
            taken.append(_time(lambda s=settings: _run_night(s, HISTORY)))
        found, (low, high) = slope(np.log(sizes).tolist(), np.log(taken).tolist())
        interval = {"ci_low": round(low, 3), "ci_high": round(high, 3), "sizes": sizes}
        # below a thousand patients a night's fixed cost hides the slope: no verdict
        holds = found <= 1.05 if sizes[0] >= 1000 else None
        yield row(
            "growth", found, "slope, log-log", len(sizes), target="<= 1.05", holds=holds,
            seconds=[round(t, 1) for t in taken], **interval,
        )  # fmt: skip
        yield _measure_next_night(clinics[-1], events, patients, taken[-1])
        yield from _measure_reads(clinics[-1], patients)
        yield from stores.measure_redis(clinics[1], HISTORY)
        yield from stores.measure_point_in_time(clinics[0], asked, by_feast)


def _measure_increment(events: pl.DataFrame, patients: int) -> Iterator[Row]:
    """Measure the row ``increment`` alone: a full build, then a night with 1 % changes."""
    with tempfile.TemporaryDirectory() as folder:
        settings = create_clinic(Path(folder), "increment")
        take_in_copies(settings, HISTORY, events, patients, at_once=False)
        yield _measure_next_night(settings, events, patients, _time(lambda: _run_night(settings, HISTORY)))


def _measure_next_night(settings: Settings, events: pl.DataFrame, patients: int, whole: float) -> Row:
    """Measure a night with five corrected facts of 1 % of patients, against a full build."""
    take_in_news(settings, NEXT, events, patients)
    seconds = _time(lambda: _run_night(settings, NEXT))
    share = seconds / whole
    return row(
        "increment", 100 * share, "% of a full build", patients, target="<= 5 %", holds=share <= 0.05, night_s=seconds
    )


def _run_night(settings: Settings, night: str) -> None:
    stage.run(settings, night)
    materialise.run(settings, night)


def _measure_reads(settings: Settings, patients: int) -> Iterator[Row]:
    """Measure reads of one patient's row, 200 per second, against reading its bytes alone.

    Each patient is read once, so that no row comes from a cache.
    """
    random = np.random.default_rng(0)
    subjects = random.permutation(patients)[: min(READS, patients)] + 1
    online.read(settings.feast, 1)
    through = [_time_paced(lambda s=s: online.read(settings.feast, int(s))) for s in subjects]
    with sqlite3.connect(settings.feast / "online.db") as connection:
        tables = [t for (t,) in connection.execute("select name from sqlite_master where type = 'table'")]
        keys = [k for (k,) in connection.execute(f"select distinct entity_key from {tables[0]}")]
        bare = [_time_paced(lambda k=k: _read_bytes(connection, tables, k)) for k in keys[: len(subjects)]]
    median, base = 1e3 * percentile(through, 50), 1e3 * percentile(bare, 50)
    yield row("online_read", median, "ms", len(through), baseline=base, target="<= 4 x", holds=median <= 4 * base)
    tail, bare_tail = 1e3 * percentile(through, 99), round(1e3 * percentile(bare, 99), 3)
    yield row(
        "online_read_p99", tail, "ms", len(through), baseline=median, target="<= 5 x", holds=tail <= 5 * median,
        bare_p99_ms=bare_tail,
    )  # fmt: skip


def _time_paced(call: Callable[[], object]) -> float:
    """Time a call, then wait until the next one is due."""
    took = _time(call)
    time.sleep(max(0.0, 1 / READS_PER_SECOND - took))
    return took


def _read_bytes(connection: sqlite3.Connection, tables: list[str], key: bytes) -> None:
    for table in tables:
        connection.execute(f"select feature_name, value from {table} where entity_key = ?", (key,)).fetchall()


if __name__ == "__main__":
    main()
