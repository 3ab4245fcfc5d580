"""Find the as-of times of feature rows: ends of days that changed a record.

A record changes when a version of one of its facts becomes known, and when a fact known ahead of its time comes true.
A night adds the days since the last build and, for a patient with a late change (an event known on a day built
before), every day from then on. Days without a change have no row: the row before stays valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import ibis
from ibis.expr.types import Table, TimestampColumn

from feature_repo.point_in_time import DAY, KEY, MOMENT, to_moment, to_seconds
from pipelines.features.engines.feature_files import GroupPlan
from pipelines.night_dates import end_of_night

#: Before every clinic's first record: where a first build starts.
BEGINNING = datetime(1800, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class BuildSpan:
    """A group's work in time: all patients' as-of times after ``last`` and up to ``end``."""

    last: datetime
    end: datetime

    @classmethod
    def from_plan(cls, plan: GroupPlan) -> BuildSpan:
        return cls(BEGINNING if plan.last is None else end_of_night(plan.last), end_of_night(plan.origin.night))


def select_recent(log: Table, since: datetime) -> Table:
    """Select what became known or true from the day of ``since`` on, in narrow columns.

    ``known`` is the second at which the clinic knew, ``happens`` when a fact known ahead of its time comes true, else
    ``known``.
    """
    known = to_seconds(log.known_at)
    happens = ibis.greatest(known, to_seconds(ibis.coalesce(log.time, log.known_at)))
    events = log.select("subject_id", "record", "file", known=known, happens=happens)
    return events.filter(events.happens >= int(since.timestamp()) // DAY * DAY)


def find_record_changes(recent: Table, owners: Table) -> Table:
    """Find whose record each recent version changes: ``subject_id``, ``known``, ``happens``, ``file``.

    A version changes the record of its patient, and of every patient (``owners``) under whom the same fact was filed
    before.
    """
    columns = ("subject_id", "known", "happens", "file")
    joined = recent.inner_join(owners, "record")
    refiled = joined.filter(joined.owner != joined.subject_id, joined.since <= joined.known)
    return recent.select(*columns).union(refiled.mutate(subject_id=refiled.owner).select(*columns))


def find_owners(log: Table, repeated: Table) -> Table:
    """Find each ``owner`` of the ``repeated`` records, and ``since`` when the record was first theirs."""
    versions = log.semi_join(repeated, "record")
    return versions.group_by("record", owner=versions.subject_id).aggregate(since=to_seconds(versions.known_at.min()))


def list_change_days(changes: Table) -> Table:
    """List ``KEY`` of the end of every day on which a patient's record changed."""
    known = changes.select("subject_id", day=changes.known // DAY)
    true = changes.filter(changes.happens > changes.known)
    ends = known.union(true.select("subject_id", day=true.happens // DAY)).distinct()
    return ends.select("subject_id", event_timestamp=to_moment(ends.day * DAY + (DAY - 1)))


def find_earliest_change(changes: Table, fresh: Sequence[str]) -> Table:
    """Find ``since`` when the ``fresh`` event files change each patient's record."""
    new = changes.filter(changes.file.isin(fresh))
    earliest = new.group_by("subject_id").aggregate(since=new.known.min())
    return earliest.mutate(since=to_moment(earliest.since))


def select_until(days: Table, end: datetime) -> Table:
    """Select the as-of times of a first build."""
    return days.filter(days.event_timestamp <= ibis.literal(end))


def select_due(days: Table, earliest: Table, span: BuildSpan) -> Table:
    """Select the as-of times of self groups: new days, and all since an earlier change."""
    joined = days.left_join(earliest, "subject_id")
    new = (joined.event_timestamp > ibis.literal(span.last)) | (joined.event_timestamp >= joined.since)
    return joined.filter(new, joined.event_timestamp <= ibis.literal(span.end)).select(*KEY)


def select_due_for_peers(log: Table, days: Table, earliest: Table, span: BuildSpan, nights: list[str]) -> Table:
    """Select the as-of times of peers: days since the earliest change, all patients' nights.

    One patient's change alters whom others are compared with, so from the earliest change on all rows are computed
    again; on an ordinary night that is one row per patient. A patient's first night is that of their first record.
    """
    first = log.group_by("subject_id").aggregate(first=log.known_at.min())
    ends = ibis.array([ibis.literal(end_of_night(n), type=MOMENT) for n in nights]).unnest()
    nightly = first.mutate(event_timestamp=ends)
    nightly = nightly.filter(_to_end_of_day(nightly.first) <= nightly.event_timestamp).select(*KEY)
    # an engine may have stored the days without saying that their time zone is UTC
    every = days.select("subject_id", event_timestamp=days.event_timestamp.cast(MOMENT)).union(nightly, distinct=True)
    every = every.filter(every.event_timestamp <= ibis.literal(span.end))
    if span.last == BEGINNING:
        return every
    since = earliest.since.min().as_scalar()
    return every.filter((every.event_timestamp > ibis.literal(span.last)) | (every.event_timestamp >= since))


def _to_end_of_day(moment: TimestampColumn) -> TimestampColumn:
    return to_moment(to_seconds(moment) // DAY * DAY + (DAY - 1))
