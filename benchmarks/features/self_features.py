"""The row ``self_features``: from the log on disk to every group's rows in memory, in a process of its own.

A process of its own, so that its peak is the build's: making the clinic takes more memory than reading it.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ibis
import polars as pl

from benchmarks.features.clinic import empty, enlarged, take_in
from benchmarks.serving.figures import row
from pipelines.features import engine, reading, stage
from pipelines.features.ledger import end_of
from pipelines.features.moments import BEGINNING, Span
from pipelines.records import ledger as records_ledger
from pipelines.settings import Settings

NIGHT = "20260601"
TARGET = 1.5e6

Row = dict[str, Any]


def rows(events: pl.DataFrame, women: int) -> Iterator[Row]:
    """The speed over a clinic of as many women; beside it processor seconds a part, and the peak of memory."""
    with tempfile.TemporaryDirectory() as folder:
        settings = empty(Path(folder), "self")
        made = enlarged(events, women)
        take_in(settings, NIGHT, made)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, parts, peak = pool.apply(_measured, (settings,))
        speed = made.height / seconds
        yield row(
            "self_features", speed, "events/s", made.height, target=">= 1.5 million events/s", holds=speed >= TARGET,
            peak_gib=peak, cpu_s=parts,
        )  # fmt: skip


def _measured(settings: Settings) -> tuple[float, dict[str, float], float]:
    """Seconds by the wall clock, processor seconds of each part, and the peak in GiB."""
    queries = {name: engine.compiled(module) for name, module in stage.groups().items() if name not in stage.MODELLED}
    parts: dict[str, float] = {}
    started = time.perf_counter()
    with engine.connect() as connection:
        files = records_ledger.batches(settings)
        log, span = engine.read_log(connection, files), Span(BEGINNING, end_of(NIGHT))
        with _timed(parts, "days"):
            found = reading.news(engine, connection, log, files, tuple(f.name for f in files), span)
        with _timed(parts, "held"):
            reading.hold(engine, connection, log, found, span)
        newest = found.days.group_by("subject_id").aggregate(event_timestamp=ibis._.event_timestamp.max())
        engine.keep(connection, "moments", newest)
        for name, query in queries.items():
            with _timed(parts, name):
                engine.evaluate(connection, query)
    seconds = time.perf_counter() - started
    return seconds, parts, round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


@contextmanager
def _timed(parts: dict[str, float], name: str) -> Iterator[None]:
    started = time.process_time()
    yield
    parts[name] = round(time.process_time() - started, 3)
