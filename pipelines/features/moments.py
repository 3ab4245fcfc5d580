"""At which moments a patient's features are computed: the end of every day on which her record changed.

A record changes when a version of one of its facts becomes known, and when a fact that was known ahead of its time
comes true. A night adds the days since the last build, and for a patient with late news (an event known on a day
built long ago) every day from then on anew. Days without a change have no row: the one before still holds.
"""

from __future__ import annotations

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
    """``KEY`` of every day's end on which a patient's record changed.

    A fact that is corrected to belong to another patient changes both records, so each version counts for every patient
    that any version of its record named.
    """
    owners = log.select("record", owner=log.subject_id).distinct()
    owned = log.inner_join(owners, "record")
    becomes = [owned.known_at, ibis.greatest(owned.known_at, ibis.coalesce(owned.time, owned.known_at))]
    days = [owned.select(subject_id=owned.owner, event_timestamp=_end_of_day(moment)) for moment in becomes]
    return ibis.union(*days, distinct=True)


def touched(log: Table, fresh: Table) -> Table:
    """For every patient with news in ``fresh`` (part of the log): ``since``, the earliest moment it was known."""
    owners = log.select("record", owner=log.subject_id).distinct()
    news = fresh.inner_join(owners, "record")
    return news.group_by(subject_id=news.owner).aggregate(since=news.known_at.min())


def due(changed: Table, news: Table, span: Span) -> Table:
    """The moments to build for self features: new days for everybody, all days since the news for who has some."""
    joined = changed.left_join(news, "subject_id")
    new = (joined.event_timestamp > ibis.literal(span.last)) | (joined.event_timestamp >= joined.since)
    return joined.filter(new, joined.event_timestamp <= ibis.literal(span.end)).select(*KEY)


def due_for_peers(changed: Table, news: Table, span: Span, nights: list[str]) -> Table:
    """The moments to build for peers: everybody's days since the earliest news, and every night for every patient.

    One patient's news changes whom others are compared with, so from the earliest news on all rows are computed
    again; on an ordinary night that is one row a patient.
    """
    first = changed.group_by("subject_id").aggregate(first=changed.event_timestamp.min())
    ends = ibis.array([ibis.literal(end_of(n)) for n in nights]).unnest().cast(MOMENT)
    nightly = first.mutate(event_timestamp=ends)
    nightly = nightly.filter(nightly.first <= nightly.event_timestamp).select(*KEY)
    every = changed.select(*KEY).union(nightly, distinct=True)
    earliest = news.since.min().as_scalar()
    new = (every.event_timestamp > ibis.literal(span.last)) | (every.event_timestamp >= earliest)
    return every.filter(new, every.event_timestamp <= ibis.literal(span.end))


def _end_of_day(moment: TimestampValue) -> TimestampValue:
    return (moment.truncate("D") + ibis.interval(seconds=86_399)).cast(MOMENT)
