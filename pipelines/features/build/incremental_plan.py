"""What of the event log a piece of work has to read: the days it makes due, then the events of whom they concern.

The first build of a group reads everything, one part of the patients after another. A night reads narrow columns of the
whole log to find what is new and whom it concerns, and whole events only of those patients: what it costs follows the
news, not the clinic. The same rows come out either way, since a patient's features depend on nothing but the versions
of her records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import ibis
import polars as pl
from ibis.expr.types import Table

from feature_repo.point_in_time import retold, versions
from pipelines.features.build.as_of_times import (
    BEGINNING,
    Span,
    changes,
    days,
    due,
    first_told,
    owners,
    recent,
    touched,
    until,
)
from pipelines.features.build.parallel_build import Holding
from pipelines.features.build.partitions import EVERYBODY, Part, concerning, cut, refiled, retellings, retold_in
from pipelines.features.build.pruning import narrowed
from pipelines.features.engines.duckdb_engine import Engine


@dataclass(frozen=True, slots=True)
class News:
    """What ``fresh`` event files and the passing of time bring: the days concerned, and since when whose news count."""

    since: datetime
    days: Table
    touched: Table


def news(engine: Engine, connection: Any, log: Table, files: list[Path], fresh: tuple[str, ...], span: Span) -> News:
    """Keep the tables ``recent``, ``again``, ``owners`` and ``days`` of the log, all of it where nothing was built."""
    since = min(span.last, _earliest([f for f in files if f.name in fresh]))
    if span.last == BEGINNING:
        told, concerned = recent(log, since), log
    else:
        told = engine.keep(connection, "recent", recent(log, since))
        concerned = log.semi_join(told, "record")
    again = engine.keep(connection, "again", retold(concerned))
    changed = changes(told, engine.keep(connection, "owners", owners(concerned, again)))
    return News(since, engine.keep(connection, "days", days(changed)), touched(first_told(changed), fresh))


def hold(engine: Engine, connection: Any, log: Table, found: News, span: Span, readers: Sequence[Table]) -> None:
    """Keep a night's ``moments`` of the self groups and, of the patients they concern, the versions ``held``.

    ``readers`` are the expressions that will ask of them (``needed``).
    """
    moments = engine.keep(connection, "moments", due(found.days, found.touched, span))
    events = log.drop("file")
    hers = events.semi_join(moments, "subject_id")
    records = engine.keep(connection, "records", hers.select("record").distinct())
    # a record of hers may have been another patient's before, or become one's
    told = engine.keep(connection, "told", events.semi_join(records, "record"))
    engine.keep(connection, "held", narrowed(versions(told), readers).semi_join(moments, "subject_id"))


def everybody(engine: Engine, connection: Any, log: Table, span: Span, readers: Sequence[Table]) -> list[Holding]:
    """What keeps ``moments`` and ``held`` of one part of the patients each, all in order from the log's beginning.

    ``readers`` as in ``hold``.
    """
    parts = [EVERYBODY] if engine.PART is None else cut(log, engine.PART)
    told = engine.keep(connection, "retellings", retellings(log, engine.keep(connection, "again", retold(log))))
    elsewhere = engine.keep(connection, "refiled", refiled(log, told)) if len(parts) > 1 else None
    if elsewhere is not None and not elsewhere.count().to_pyarrow().as_py():
        elsewhere = None
    wanted = _of_a_part(engine, log, span, readers)
    return [
        partial(_hold_part, engine, concerning(log, elsewhere, part), retold_in(told, part), wanted, part)
        for part in parts
    ]


def _hold_part(
    engine: Engine, events: Table, again: Table, wanted: dict[str, str], part: Part, connection: Any
) -> None:
    engine.view(connection, "part", events)
    engine.keep(connection, "again", again)
    for name, sql in wanted.items():
        engine.keep(connection, name, sql)
    # a day of another's whose record was filed under one of them is no day of this part
    engine.keep(connection, "moments", part.of(connection.table("days")))


def _of_a_part(engine: Engine, log: Table, span: Span, readers: Sequence[Table]) -> dict[str, str]:
    """The tables to make of ``part`` and ``again``, in order, each in the engine's words."""
    part, again = ibis.table(log.schema(), name="part"), ibis.table({"record": "int64"}, name="again")
    others = ibis.table(owners(part, again).schema(), name="owners")
    ends = until(days(changes(recent(part, BEGINNING), others)), span.end)
    held = narrowed(versions(part.drop("file"), again), readers)
    made = {"owners": owners(part, again), "days": ends, "held": held}
    return {name: engine.sql(table) for name, table in made.items()}


def _earliest(files: list[Path]) -> datetime:
    """When the first of the events in these files was known."""
    first: datetime = pl.scan_parquet(files).select(pl.col("known_at").min()).collect().item()
    return first
