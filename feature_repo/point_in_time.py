"""What was known when: the one place where the two clocks of an event meet.

An event has ``time`` (when it happened) and ``known_at`` (when the clinic knew). As of a moment T a fact counts if
its version is the latest one with ``known_at <= T``, if that version is not a deletion, and if it has happened
(``time <= T``). ``build_versions`` turns the log into intervals in which each version holds, ``select_known`` joins moments to the
versions that held then; every feature is an aggregate of that join, so none of them can look ahead.

Everything here is an Ibis expression of portable operations: it runs on DuckDB and on Spark alike, with the session's
time zone set to UTC. Ties are broken by content, never by the order of arrival.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
from ibis.expr.types import Column, IntegerColumn, Table, TimestampColumn

from models.schema import DELETED

#: What identifies a feature row: whose it is, and the moment as of which it is true.
KEY = ("subject_id", "event_timestamp")

#: The type of a moment: microseconds (what Feast's DuckDB store reads), UTC.
MOMENT = "timestamp('UTC', 6)"

#: The end of a version that nothing has replaced.
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)

#: Room for a moment since 1970 and a record beside it.
PLACE = "decimal(38, 0)"

DAY = 86_400


@ibis.udf.scalar.builtin(signature=((dt.timestamp,), dt.int64))
def epoch_us(moment: Any) -> Any:
    """Microseconds since 1970 (UTC): what a moment is inside, so that no calendar is asked for it."""


def to_seconds(moment: TimestampColumn) -> IntegerColumn:
    """Whole seconds since 1970 (UTC), so that intervals are integers on every engine."""
    return (epoch_us(moment) / 1_000_000).floor().cast("int64")


def to_moment(second: IntegerColumn) -> TimestampColumn:
    """The moment at which a second since 1970 begins."""
    return second.as_timestamp("s").cast(MOMENT)


def select_repeated_records(log: Table) -> Table:
    """The records told more than once."""
    told = log.group_by("record").aggregate(times=log.count())
    return told.filter(told.times > 1)


def build_versions(log: Table, again: Table | None = None) -> Table:
    """The log with the interval in which each version holds: ``visible_from <= T < visible_until``.

    ``log`` has the columns of ``models.schema.EVENT_SCHEMA``. Deletions end the version before them and vanish. A
    moment is a whole second (what the online store keeps): of versions known within one second the last one holds.
    ``time`` is ``known_at`` where the event has none. Versions of one record known at the same instant are ordered by
    source hash, as ``records.log.as_of`` does. ``again`` is ``retold(log)`` where it is known already.
    """
    # nearly every record is told once: only the others need sorting
    again = select_repeated_records(log) if again is None else again
    often = log.semi_join(again, "record")
    history = ibis.window(group_by=often.record, order_by=[often.known_at, often.source, often.code])
    often = often.mutate(replaced=to_seconds(often.known_at.lead().over(history)))
    told = log.anti_join(again, "record").mutate(replaced=ibis.null("int64")).union(often)
    told = told.mutate(since=to_seconds(told.known_at), second=to_seconds(ibis.coalesce(told.time, told.known_at)))
    held = told.mutate(
        time=to_moment(told.second),
        visible_from=to_moment(ibis.greatest(told.since, told.second)),
        visible_until=ibis.coalesce(to_moment(told.replaced), ibis.literal(FOREVER, type=MOMENT)),
    )
    held = held.filter(held.code != DELETED, held.visible_from < held.visible_until)
    # named one by one: ibis writes what is dropped in an order of its own each process, and a definition is this text
    return held.select(*log.columns, "visible_from", "visible_until")


def select_known(events: Table, moments: Table, *kinds: str) -> Table:
    """One row for each moment and each version of these kinds that held then.

    ``place`` orders a patient's facts by time and then by record: the greater, the newer. ``events`` is
    ``versions(log)``, ``moments`` has ``KEY``. Filter ``events`` first where codes narrow them further.
    """
    chosen = events.filter(events.kind.isin(kinds))
    chosen = chosen.mutate(
        place=epoch_us(chosen.time).cast(PLACE) * ibis.literal(2**64, type=PLACE) + chosen.record.cast(PLACE)
    )
    held = chosen.inner_join(
        moments,
        [
            chosen.subject_id == moments.subject_id,
            chosen.visible_from <= moments.event_timestamp,
            moments.event_timestamp < chosen.visible_until,
        ],
    )
    return held.select(*chosen.columns, "event_timestamp")


def select_active(events: Table, moments: Table, start: str, end: str) -> Table:
    """``select_known`` for kind ``start``, without those that an event of kind ``end`` had closed by that moment."""
    begun = select_known(events, moments, start)
    ended = select_known(events, moments, end)
    return begun.anti_join(ended.select(*KEY, record=ended.parent), [*KEY, "record"])


def select_newest_per_value(state: Table, column: str) -> Table:
    """Of the rows of a moment that share ``column``, the newest one."""
    newest = state.group_by(*KEY, column).aggregate(place=state.place.max())
    return state.semi_join(newest, [*KEY, "place"])  # a window in a filter is no SQL that Spark knows


def select_latest(state: Table, **columns: Column) -> Table:
    """For each moment the newest row's values: ``KEY`` and one column a keyword."""
    return state.group_by(*KEY).aggregate(**{name: column.argmax(state.place) for name, column in columns.items()})


def collect_newest(state: Table, limit: int, **columns: Column) -> Table:
    """For each moment parallel arrays of its rows' values, newest first, at most ``limit`` long."""
    item = ibis.struct({"place": -state.place, **columns})  # structs sort by their first field
    lists = state.group_by(*KEY).aggregate(items=item.collect())
    lists = lists.mutate(items=lists.items.sort()[:limit])
    return lists.select(*KEY, **{name: lists.items.map(lambda i, name=name: i[name]) for name in columns})


def join_to_moments(moments: Table, *parts: Table) -> Table:
    """Every moment with the columns of every part; null where a part says nothing of it."""
    table = moments.select(*KEY)
    for part in parts:
        said = [name for name in part.columns if name not in KEY]
        table = table.left_join(part, KEY).select(*table.columns, *said)
    return table
