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
from ibis.expr.types import Table, TimestampValue

from feature_repo.point_in_time import KEY, MOMENT
from pipelines.features.ledger import Plan, end_of

#: Before every clinic's first record: a build that has none before it starts here.
BEGINNING = datetime(1800, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """A group's work as times: moments after ``last`` for everybody, and up to ``end``."""

    last: datetime
    end: datetime

    @classmethod
    def of(cls, plan: Plan) -> Span:
        return cls(BEGINNING if plan.last is None else end_of(plan.last), end_of(plan.horizon))


def changes(log: Table) -> Table:
    """Which patient's record each version changes: ``subject_id``, ``known_at``, ``happens``, ``file``.

    A version changes the record of its patient, and of every patient under whom the same fact was filed before.
    ``happens`` is when a fact known ahead of its time comes true, else ``known_at``.
    """
    columns = ("subject_id", "known_at", "happens", "file")
    told = log.mutate(happens=ibis.greatest(log.known_at, ibis.coalesce(log.time, log.known_at)))
    owners = log.group_by("record", owner=log.subject_id).aggregate(since=log.known_at.min())
    shared = owners.filter(owners.owner.count().over(ibis.window(group_by="record")) > 1)
    refiled = told.inner_join(shared, "record").filter(
        ibis._.owner != ibis._.subject_id, ibis._.since <= ibis._.known_at
    )
    return told.select(*columns).union(refiled.mutate(subject_id=refiled.owner).select(*columns))


def days(changed: Table) -> Table:
    """``KEY`` of every day's end on which a patient's record changed."""
    ends = [
        changed.select(changed.subject_id, event_timestamp=_end_of_day(moment))
        for moment in (changed.known_at, changed.happens)
    ]
    return ibis.union(*ends, distinct=True)


def touched(changed: Table, fresh: Sequence[str]) -> Table:
    """For every patient with news in the ``fresh`` event files: ``since``, the earliest second it was known."""
    news = changed.filter(changed.file.isin(fresh))
    return news.group_by("subject_id").aggregate(since=news.known_at.min().truncate("s"))


def due(days: Table, news: Table, span: Span) -> Table:
    """The moments to build for self features: new days for everybody, all days since the news for who has some."""
    joined = days.left_join(news, "subject_id")
    new = (joined.event_timestamp > ibis.literal(span.last)) | (joined.event_timestamp >= joined.since)
    return joined.filter(new, joined.event_timestamp <= ibis.literal(span.end)).select(*KEY)


def due_for_peers(days: Table, news: Table, span: Span, nights: list[str]) -> Table:
    """The moments to build for peers: everybody's days since the earliest news, and every night for every patient.

    One patient's news changes whom others are compared with, so from the earliest news on all rows are computed
    again; on an ordinary night that is one row a patient.
    """
    first = days.group_by("subject_id").aggregate(first=days.event_timestamp.min())
    ends = ibis.array([ibis.literal(end_of(n), type=MOMENT) for n in nights]).unnest()
    nightly = first.mutate(event_timestamp=ends)
    nightly = nightly.filter(nightly.first <= nightly.event_timestamp).select(*KEY)
    # an engine may have kept the days without saying that their time zone is UTC
    every = days.select("subject_id", event_timestamp=days.event_timestamp.cast(MOMENT)).union(nightly, distinct=True)
    earliest = news.since.min().as_scalar()
    new = (every.event_timestamp > ibis.literal(span.last)) | (every.event_timestamp >= earliest)
    return every.filter(new, every.event_timestamp <= ibis.literal(span.end))


def _end_of_day(moment: TimestampValue) -> TimestampValue:
    return (moment.truncate("D") + ibis.interval(seconds=86_399)).cast(MOMENT)
