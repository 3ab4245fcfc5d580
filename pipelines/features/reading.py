"""What of the event log a piece of work has to read: the days it makes due, then the events of whom they concern.

The first build of a group reads everything. A night reads narrow columns of the whole log to find what is new and
whom it concerns, and whole events only of those patients: what it costs follows the news, not the clinic. The same
rows come out either way, since a patient's features depend on nothing but the versions of her records.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from ibis.expr.types import Table

from feature_repo.point_in_time import retold, versions
from pipelines.features.engine import Engine
from pipelines.features.moments import BEGINNING, Span, changes, days, due, first_told, owners, recent, touched


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


def hold(engine: Engine, connection: Any, log: Table, found: News, span: Span) -> None:
    """Keep the self groups' ``moments`` and, of the patients they concern, the versions ``held``."""
    moments = engine.keep(connection, "moments", due(found.days, found.touched, span))
    events = log.drop("file")
    if span.last == BEGINNING:
        engine.keep(connection, "held", observations_first(versions(events, connection.table("again"))))
        return
    hers = events.semi_join(moments, "subject_id")
    records = engine.keep(connection, "records", hers.select("record").distinct())
    # a record of hers may have been another patient's before, or become one's
    told = engine.keep(connection, "told", events.semi_join(records, "record"))
    engine.keep(connection, "held", versions(told).semi_join(moments, "subject_id"))


def observations_first(held: Table) -> Table:
    """The same rows in two stretches: they are half of all, and whoever asks for another kind passes over them."""
    return held.filter(held.kind == "observation").union(held.filter(held.kind != "observation"))


def _earliest(files: list[Path]) -> datetime:
    """When the first of the events in these files was known."""
    first: datetime = pl.scan_parquet(files).select(pl.col("known_at").min()).collect().item()
    return first
