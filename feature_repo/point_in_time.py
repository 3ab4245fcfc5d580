"""Join events to as-of times point-in-time correctly: every feature is made of these joins.

An event has ``time`` (when it happened) and ``known_at`` (when the clinic knew). As of time T a fact counts if its
version is the latest one with ``known_at <= T``, if that version is not a deletion, and if it has happened
(``time <= T``). ``build_versions`` turns the log into intervals in which each version is valid, ``select_known`` joins
as-of times (``moments``) to the versions valid then; every feature is an aggregate of that join, so none of them can
look ahead.

Everything here is an Ibis expression of portable operations, which runs on DuckDB and on Spark with the session's time
zone set to UTC. Ties are broken by content, never by the order of arrival. A group's definition hashes its SQL, so the
names of columns made here stay as they are.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
from ibis.expr.types import Column, IntegerColumn, Table, TimestampColumn

from models.schema import DELETED

#: Identifies a feature row: the patient, and the as-of time.
KEY = ("subject_id", "event_timestamp")

#: The type of an as-of time: microseconds (which Feast's DuckDB store needs), UTC.
MOMENT = "timestamp('UTC', 6)"

#: The end of a version that nothing has replaced.
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)

#: Fits a time since 1970 followed by a record id.
PLACE = "decimal(38, 0)"

DAY = 86_400


@ibis.udf.scalar.builtin(signature=((dt.timestamp,), dt.int64))
def epoch_us(moment: Any) -> Any:
    """Return microseconds since 1970 (UTC), without calendar arithmetic; a function of the engines."""


def to_seconds(moment: TimestampColumn) -> IntegerColumn:
    """Convert to whole seconds since 1970 (UTC): intervals are integers on every engine."""
    return (epoch_us(moment) / 1_000_000).floor().cast("int64")


def to_moment(second: IntegerColumn) -> TimestampColumn:
    """Convert a second since 1970 to the time at which it begins."""
    return second.as_timestamp("s").cast(MOMENT)


def select_repeated_records(log: Table) -> Table:
    """Select the records with several versions."""
    counts = log.group_by("record").aggregate(times=log.count())
    return counts.filter(counts.times > 1)


def build_versions(log: Table, repeated: Table | None = None, mark_undated: bool = True) -> Table:
    """Add the interval in which each version is valid: ``visible_from <= T < visible_until``.

    ``log`` has the columns of ``models.schema.EVENT_SCHEMA``. A deletion ends the version before it and is left out.
    T is a whole second, as in the online store: of versions known within one second the last one is valid. Where the
    event has no ``time`` it is ``known_at``, and ``undated`` says so. Versions of one record known at the same time are
    ordered by source hash, as ``pipelines.records.log.event_log`` orders them. ``repeated`` is
    ``select_repeated_records(log)``, if known already. Without ``mark_undated`` there is no such column.
    """
    # nearly every record has one version: only the others need sorting
    repeated = select_repeated_records(log) if repeated is None else repeated
    several = log.semi_join(repeated, "record")
    history = ibis.window(group_by=several.record, order_by=[several.known_at, several.source, several.code])
    several = several.mutate(replaced=to_seconds(several.known_at.lead().over(history)))
    every = log.anti_join(repeated, "record").mutate(replaced=ibis.null("int64")).union(several)
    every = every.mutate(since=to_seconds(every.known_at), second=to_seconds(ibis.coalesce(every.time, every.known_at)))
    marks = {"undated": every.time.isnull()} if mark_undated else {}
    versions = every.mutate(
        **marks,
        time=to_moment(every.second),
        visible_from=to_moment(ibis.greatest(every.since, every.second)),
        visible_until=ibis.coalesce(to_moment(every.replaced), ibis.literal(FOREVER, type=MOMENT)),
    )
    versions = versions.filter(versions.code != DELETED, versions.visible_from < versions.visible_until)
    # named one by one: Ibis orders dropped columns differently in each process, and a definition hashes this SQL
    return versions.select(*log.columns, *marks, "visible_from", "visible_until")


def select_known(events: Table, moments: Table, *kinds: str) -> Table:
    """Select, per as-of time, the versions of these kinds that were valid then.

    ``place`` orders a patient's facts by time and then by record: the greater, the newer. ``events`` is
    ``build_versions(log)``, ``moments`` has ``KEY``. Filter ``events`` first if only some codes are needed.
    """
    chosen = events.filter(events.kind.isin(kinds))
    chosen = chosen.mutate(
        place=epoch_us(chosen.time).cast(PLACE) * ibis.literal(2**64, type=PLACE) + chosen.record.cast(PLACE)
    )
    valid = chosen.inner_join(
        moments,
        [
            chosen.subject_id == moments.subject_id,
            chosen.visible_from <= moments.event_timestamp,
            moments.event_timestamp < chosen.visible_until,
        ],
    )
    return valid.select(*chosen.columns, "event_timestamp")


def select_active(events: Table, moments: Table, start: str, end: str) -> Table:
    """Select known facts of kind ``start``, unless closed by one of kind ``end``."""
    begun = select_known(events, moments, start)
    ended = select_known(events, moments, end)
    return begun.anti_join(ended.select(*KEY, record=ended.parent), [*KEY, "record"])


def hide_unknown_times(state: Table) -> Table:
    """Make ``time`` null where the event has none, and order such rows before all with a date since 1970."""
    return state.mutate(
        time=ibis.cases((~state.undated, state.time)),
        place=ibis.cases((state.undated, state.record.cast(PLACE)), else_=state.place),
    )


def select_newest_per_value(state: Table, column: str) -> Table:
    """Select, per as-of time and value of ``column``, the newest row."""
    newest = state.group_by(*KEY, column).aggregate(place=state.place.max())
    return state.semi_join(newest, [*KEY, "place"])  # Spark has no window in a filter


def select_latest(state: Table, **columns: Column) -> Table:
    """Select, per as-of time, the newest row's values: ``KEY`` and a column per keyword."""
    return state.group_by(*KEY).aggregate(**{name: column.argmax(state.place) for name, column in columns.items()})


def collect_newest(state: Table, limit: int, **columns: Column) -> Table:
    """Collect, per as-of time, its rows' values in parallel arrays, newest first, at most ``limit``."""
    item = ibis.struct({"place": -state.place, **columns})  # structs sort by their first field
    lists = state.group_by(*KEY).aggregate(items=item.collect())
    lists = lists.mutate(items=lists.items.sort()[:limit])
    return lists.select(*KEY, **{name: lists.items.map(lambda i, name=name: i[name]) for name in columns})


def join_to_moments(moments: Table, *parts: Table) -> Table:
    """Join every part's columns to all as-of times; null without a row."""
    table = moments.select(*KEY)
    for part in parts:
        columns = [name for name in part.columns if name not in KEY]
        table = table.left_join(part, KEY).select(*table.columns, *columns)
    return table
