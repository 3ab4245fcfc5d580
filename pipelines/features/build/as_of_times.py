"""At which moments a patient's features are computed: the end of every day on which her record changed.

A record changes when a version of one of its facts becomes known, and when a fact that was known ahead of its time
comes true. A night adds the days since the last build, and for a patient with late news (an event known on a day
built long ago) every day from then on anew. Days without a change have no row: the one before still holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import ibis
from ibis.expr.types import Table, TimestampColumn

from feature_repo.point_in_time import DAY, KEY, MOMENT, moment_of, seconds
from pipelines.features.engines.feature_files import Plan
from pipelines.night_dates import end_of_night

#: Before every clinic's first record: a build that has none before it starts here.
BEGINNING = datetime(1800, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """A group's work as times: moments after ``last`` for everybody, and up to ``end``."""

    last: datetime
    end: datetime

    @classmethod
    def of(cls, plan: Plan) -> Span:
        return cls(BEGINNING if plan.last is None else end_of_night(plan.last), end_of_night(plan.horizon))


def recent(log: Table, since: datetime) -> Table:
    """What became known or came true from the day of ``since`` on: the narrow columns that moments are made of.

    ``known`` is the second in which the clinic knew, ``happens`` when a fact known ahead of its time comes true, else
    ``known``.
    """
    known = seconds(log.known_at)
    happens = ibis.greatest(known, seconds(ibis.coalesce(log.time, log.known_at)))
    told = log.select("subject_id", "record", "file", known=known, happens=happens)
    return told.filter(told.happens >= int(since.timestamp()) // DAY * DAY)


def changes(told: Table, owners: Table) -> Table:
    """Which patient's record each version changes: ``subject_id``, ``known``, ``happens``, ``file``.

    A version changes the record of its patient, and of every patient under whom the same fact was filed before.
    ``told`` is what is ``recent``, ``owners`` who else its records were filed under.
    """
    columns = ("subject_id", "known", "happens", "file")
    refiled = told.inner_join(owners, "record").filter(ibis._.owner != ibis._.subject_id, ibis._.since <= ibis._.known)
    return told.select(*columns).union(refiled.mutate(subject_id=refiled.owner).select(*columns))


def owners(log: Table, again: Table) -> Table:
    """Of the records told more than once: ``record``, ``owner``, and ``since`` when it was first hers."""
    told = log.semi_join(again, "record")
    return told.group_by("record", owner=told.subject_id).aggregate(since=seconds(told.known_at.min()))


def days(changed: Table) -> Table:
    """``KEY`` of every day's end on which a patient's record changed."""
    known = changed.select("subject_id", day=changed.known // DAY)
    true = changed.filter(changed.happens > changed.known)
    ends = known.union(true.select("subject_id", day=true.happens // DAY)).distinct()
    return ends.select("subject_id", event_timestamp=moment_of(ends.day * DAY + (DAY - 1)))


def first_told(changed: Table) -> Table:
    """The earliest second known of each patient's news by event file: ``subject_id``, ``file``, ``since``."""
    return changed.group_by("subject_id", "file").aggregate(since=changed.known.min())


def touched(told: Table, fresh: Sequence[str]) -> Table:
    """For every patient with news in the ``fresh`` event files: ``since``, the earliest second it was known."""
    news = told.filter(told.file.isin(fresh)).group_by("subject_id").aggregate(since=ibis._.since.min())
    return news.mutate(since=moment_of(news.since))


def until(days: Table, end: datetime) -> Table:
    """The moments of a build from the beginning."""
    return days.filter(days.event_timestamp <= ibis.literal(end))


def due(days: Table, news: Table, span: Span) -> Table:
    """The moments to build for self features: new days for everybody, all days since the news for who has some."""
    joined = days.left_join(news, "subject_id")
    new = (joined.event_timestamp > ibis.literal(span.last)) | (joined.event_timestamp >= joined.since)
    return joined.filter(new, joined.event_timestamp <= ibis.literal(span.end)).select(*KEY)


def due_for_peers(log: Table, days: Table, news: Table, span: Span, nights: list[str]) -> Table:
    """The moments to build for peers: everybody's days since the earliest news, and every night for every patient.

    One patient's news changes whom others are compared with, so from the earliest news on all rows are computed
    again; on an ordinary night that is one row a patient. Her first night is that of her first record.
    """
    first = log.group_by("subject_id").aggregate(first=log.known_at.min())
    ends = ibis.array([ibis.literal(end_of_night(n), type=MOMENT) for n in nights]).unnest()
    nightly = first.mutate(event_timestamp=ends)
    nightly = nightly.filter(_end_of_day(nightly.first) <= nightly.event_timestamp).select(*KEY)
    # an engine may have kept the days without saying that their time zone is UTC
    every = days.select("subject_id", event_timestamp=days.event_timestamp.cast(MOMENT)).union(nightly, distinct=True)
    every = every.filter(every.event_timestamp <= ibis.literal(span.end))
    if span.last == BEGINNING:
        return every
    earliest = news.since.min().as_scalar()
    return every.filter((every.event_timestamp > ibis.literal(span.last)) | (every.event_timestamp >= earliest))


def _end_of_day(moment: TimestampColumn) -> TimestampColumn:
    return moment_of(seconds(moment) // DAY * DAY + (DAY - 1))
