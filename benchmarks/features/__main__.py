"""``make bench-features``: writes ``results/features.json``. Sizes are this machine's; ``--women`` turns them up.

With the defaults it takes three quarters of an hour on two idle cores, 10 GiB of memory and as much disk. ``load`` in a
row is the machine's load average when the row was made: above the number of cores, times are too long. ``--only`` makes
some rows anew and keeps the others.
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
from benchmarks.features.clinic import copies, empty, known_on, sample_events, take_in, take_in_copies
from benchmarks.serving.figures import percentile, row, slope
from feature_repo.store import online
from pipelines.features.build import stage
from pipelines.features.online import materialise
from pmlm.settings import Settings

RESULTS = Path(__file__).parents[1] / "results" / "features.json"
HISTORY, NEXT = "20260601", "20260602"
READS, READS_A_SECOND = 1000, 200

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
    events = cache(sample_events)
    rows: list[Row] = []
    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "ingest": lambda: ingest.rows(asked.copies),
        "self_features": lambda: self_features.rows(events(), 5 * asked.women, asked.women // 10),
        "nights": lambda: _nights(events(), asked.women, asked.rows, asked.feast_rows),
        "peers": lambda: peers.rows(events(), asked.donors),
    }
    if asked.only:  # else the nights measure it
        parts["increment"] = lambda: _increment(events(), asked.women)
    for name, part in parts.items():
        if asked.only and name not in asked.only:
            continue
        for said in part():
            rows.append(said | {"load": round(os.getloadavg()[0], 1)})
            print(json.dumps(rows[-1]), flush=True)  # noqa: T201
            if asked.only:
                _keep(rows[-1:])
    if not asked.only:
        _keep(rows, anew=True)


def _keep(rows: list[Row], *, anew: bool = False) -> None:
    """Write rows over those of the same name that were measured before; with ``anew`` nothing else is kept."""
    RESULTS.parent.mkdir(exist_ok=True)
    held = json.loads(RESULTS.read_text()) if not anew and RESULTS.exists() else []
    made = {said["name"] for said in rows}
    kept = [said for said in held if said["name"] not in made]
    RESULTS.write_text(json.dumps([*kept, *rows], indent=1) + "\n")


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    with redirect_stdout(StringIO()):
        call()
    return time.perf_counter() - started


def _nights(events: pl.DataFrame, women: int, asked: int, by_feast: int) -> Iterator[Row]:
    """The whole night at three sizes (features, peers, online store), one of 1 % news, reads, and Feast's own ways.

    Feast's own ways answer from the smaller clinics: it would take hours over the largest.
    """
    sizes = [women // 100, women // 10, women]
    with tempfile.TemporaryDirectory() as folder:
        clinics = [empty(Path(folder), f"women{size}") for size in sizes]
        taken = []
        for size, settings in zip(sizes, clinics, strict=True):
            take_in_copies(settings, HISTORY, events, size, at_once=False)
            taken.append(_timed(lambda s=settings: _night(s, HISTORY)))
        found, (low, high) = slope(np.log(sizes).tolist(), np.log(taken).tolist())
        interval = {"ci_low": round(low, 3), "ci_high": round(high, 3), "sizes": sizes}
        # below a thousand patients what a night costs anyway hides the slope: no verdict
        holds = found <= 1.05 if sizes[0] >= 1000 else None
        yield row(
            "growth", found, "slope, log-log", len(sizes), target="<= 1.05", holds=holds,
            seconds=[round(t, 1) for t in taken], **interval,
        )  # fmt: skip
        yield _next_night(clinics[-1], events, women, taken[-1])
        yield from _online_read(clinics[-1], women)
        yield from stores.materialise_redis(clinics[1], HISTORY)
        yield from stores.point_in_time(clinics[0], asked, by_feast)


def _increment(events: pl.DataFrame, women: int) -> Iterator[Row]:
    """The row ``increment`` alone: one clinic built whole, then a night of 1 % news."""
    with tempfile.TemporaryDirectory() as folder:
        settings = empty(Path(folder), "increment")
        take_in_copies(settings, HISTORY, events, women, at_once=False)
        yield _next_night(settings, events, women, _timed(lambda: _night(settings, HISTORY)))


def _next_night(settings: Settings, events: pl.DataFrame, women: int, whole: float) -> Row:
    """A night in which one woman in a hundred has five facts told anew, against the seconds of a ``whole`` build."""
    news = pl.concat(made.filter(pl.col("subject_id") % 100 == 0) for made in copies(events, women))
    newest = news.sort("known_at", "record", descending=True)
    renewed = newest.group_by("subject_id").head(5).with_columns(source=pl.lit("anew") + pl.col("source").str.slice(4))
    take_in(settings, NEXT, known_on(renewed, NEXT))
    seconds = _timed(lambda: _night(settings, NEXT))
    share = seconds / whole
    return row(
        "increment", 100 * share, "% of a full build", women, target="<= 5 %", holds=share <= 0.05, night_s=seconds
    )


def _night(settings: Settings, night: str) -> None:
    stage.run(settings, night)
    materialise.run(settings, night)


def _online_read(settings: Settings, women: int) -> Iterator[Row]:
    """One patient, all views, one call, 200 a second; beside it the bare bytes of the same rows from the same file.

    Each patient is asked for once, so that no answer is a remembered one.
    """
    random = np.random.default_rng(0)
    subjects = random.permutation(women)[: min(READS, women)] + 1
    online.read(settings.feast, 1)
    through = [_paced(lambda s=s: online.read(settings.feast, int(s))) for s in subjects]
    with sqlite3.connect(settings.feast / "online.db") as connection:
        tables = [t for (t,) in connection.execute("select name from sqlite_master where type = 'table'")]
        keys = [k for (k,) in connection.execute(f"select distinct entity_key from {tables[0]}")]
        bare = [_paced(lambda k=k: _bare(connection, tables, k)) for k in keys[: len(subjects)]]
    median, base = 1e3 * percentile(through, 50), 1e3 * percentile(bare, 50)
    yield row("online_read", median, "ms", len(through), baseline=base, target="<= 4 x", holds=median <= 4 * base)
    tail, bare_tail = 1e3 * percentile(through, 99), round(1e3 * percentile(bare, 99), 3)
    yield row(
        "online_read_p99", tail, "ms", len(through), baseline=median, target="<= 5 x", holds=tail <= 5 * median,
        bare_p99_ms=bare_tail,
    )  # fmt: skip


def _paced(call: Callable[[], object]) -> float:
    """The call's seconds; then what is left of its two hundredth of a second."""
    took = _timed(call)
    time.sleep(max(0.0, 1 / READS_A_SECOND - took))
    return took


def _bare(connection: sqlite3.Connection, tables: list[str], key: bytes) -> None:
    for table in tables:
        connection.execute(f"select feature_name, value from {table} where entity_key = ?", (key,)).fetchall()


if __name__ == "__main__":
    main()
