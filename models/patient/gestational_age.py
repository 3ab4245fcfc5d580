"""Compute pregnancy, gestational age and weeks postpartum as of a moment.

    d = whole days from the start to as_of             (models.patient.pregnancy_dating: one day, or a range)
    weeks = ⌊d / 7⌋, days = d mod 7                    (0 ≤ d ≤ 308; None where the range leaves them open)
    postpartum_weeks = ⌊(as_of − end of pregnancy) / 7 d⌋   (0 … 52, else None)

1. The paper speaks of obstetric records and not of dating. Here a record's statements are read
   (``pregnancy_statements``), a date is chosen by ACOG 700 (``pregnancy_dating``) and an end found (``pregnancy_end``).
2. It never guesses. Without any statement pregnancy is unknown, not absent; without an exact date no exact week is
   given; a pregnancy past 44 weeks whose end is not on record should have ended and is unknown.
3. A last period alone dates a pregnancy but never makes one, since it is asked of every patient.
4. A pregnancy stated without a date is one of unknown weeks, for 44 weeks from the day on which it became known.

Run: ``pmlm ask``, ``pmlm patient PATIENT``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from models.feature_row import read_time
from models.patient.pregnancy_dating import TERM, Start, choose_start, read_start
from models.patient.pregnancy_end import LONGEST, End, find_last_end
from models.patient.pregnancy_statements import Statement, read_statements
from models.schema import FeatureRow

__all__ = ["LONGEST", "POSTPARTUM", "TERM", "Dating", "PregnancyState", "find_start_at", "read_pregnancy_state"]

POSTPARTUM = timedelta(weeks=52)
#: No pregnancy is noticed sooner after the end of another: what is stated till then is of the ended one.
SOONEST = timedelta(days=21)
#: A newborn's own gestational age is no pregnancy of hers.
YOUNGEST = timedelta(days=365 * 9)


@dataclass(frozen=True, slots=True)
class Dating:
    """How a pregnancy is dated: the method and its source; ``precision`` is day, week or range."""

    method: str
    source: str | None
    precision: str


@dataclass(frozen=True, slots=True)
class PregnancyState:
    """A patient's pregnancy as of a moment.

    ``pregnant`` is True, False (stated) or None (not on record, contradictory, or ``overdue``: begun longer ago than
    any lasts, its end not on record). ``weeks`` and ``days`` are completed weeks and the days beyond, None where not
    exactly known; ``age`` is then the least and greatest age in days. ``postpartum_weeks`` counts from any end of a
    pregnancy, loss included; where it is not exactly known ``postpartum`` is the least and greatest. ``denied`` is the
    day on which she was recorded as not pregnant.
    """

    pregnant: bool | None
    weeks: int | None
    days: int | None
    postpartum_weeks: int | None
    sources: tuple[str, ...]
    age: tuple[int, int] | None = field(default=None, compare=False)
    dating: Dating | None = field(default=None, compare=False)
    postpartum: tuple[int, int] | None = field(default=None, compare=False)
    overdue: bool = field(default=False, compare=False)
    multiple: bool = field(default=False, compare=False)
    denied: date | None = field(default=None, compare=False)


_UNKNOWN = PregnancyState(None, None, None, None, ())


def read_pregnancy_state(row: FeatureRow, as_of: datetime) -> PregnancyState:
    """The state that a row's statements support; calendar days are those of ``as_of``'s own time zone."""
    birth = read_time(row, "birth")
    if birth is not None and as_of - birth < YOUNGEST:
        return _UNKNOWN
    every, today = read_statements(row, as_of), as_of.date()
    statements, undated = [s for s in every if not s.undated], [s for s in every if s.undated]
    end = find_last_end(statements)
    claims = _list_claims(statements, end, today)
    denied = max((s.day for s in statements if _denies(s)), default=None)
    ended = max((s.day for s in undated if s.meaning in ("ended", "postpartum") or _denies(s)), default=None)
    if claims and ended is not None and ended >= max(s.day for s in claims):
        return _UNKNOWN  # which pregnancy an end without a date is of is not on record
    if not claims:
        absence = _describe_absence(statements, end, denied, today)
        return _weigh_undated(_list_claims(undated, None, today), absence, (end is not None, denied, ended), today)
    since = _find_beginning(claims)
    start = _date_pregnancy(statements, end, since, today)
    begun = since if start is None else start.last
    if today - begun > LONGEST:
        return PregnancyState(None, None, None, None, (), overdue=True)
    if denied is not None and denied > max(s.day for s in claims):
        # an entry that still stands and a later denial contradict each other
        open_ = any(s.meaning == "pregnancy" and s.closed is None for s in claims)
        return _UNKNOWN if open_ else PregnancyState(False, None, None, None, (), denied=denied)
    return _describe_pregnancy(claims, start, today, _is_multiple(statements, claims, end, today))


def _denies(statement: Statement) -> bool:
    return statement.meaning == "status" and statement.value == "not pregnant"


def _weigh_undated(
    claims: Sequence[Statement], absence: PregnancyState, against: tuple[bool, date | None, date | None], today: date
) -> PregnancyState:
    """What pregnancies stated without a date say: pregnant, of unknown weeks, for 44 weeks from when they were known.

    ``against`` is whether an end has a date, the day of the last denial, and when an end or denial without a date was
    known. An end, or a denial not after them, may be the later one: whether she is pregnant is unknown then.
    """
    ended, denied, other = against
    if not claims:
        return absence
    known = max(s.day for s in claims)
    if denied is not None and denied > known and all(s.meaning != "pregnancy" for s in claims):
        return absence
    if ended or denied is not None or other is not None:
        return replace(absence, pregnant=None, denied=None)
    if today - _find_beginning(claims) > LONGEST:
        return PregnancyState(None, None, None, None, (), overdue=True)
    return _describe_pregnancy(claims, None, today, any(s.multiple for s in claims))


def _list_claims(statements: Sequence[Statement], end: End | None, today: date) -> list[Statement]:
    """What states a current pregnancy: after the last end, and still standing."""
    claims = []
    for s in statements:
        if s.meaning in ("edd", "age"):
            start = read_start(s)
            stands = start is not None and start.first <= today and _starts_after(s, end)
        else:
            current = end is None or s.day > end.last + SOONEST
            stated = s.meaning == "antenatal" or (s.meaning == "status" and s.value == "pregnant")
            stands = current and (stated or (s.meaning == "pregnancy" and s.closed is None))
        if stands:
            claims.append(s)
    return claims


def _starts_after(statement: Statement, end: End | None) -> bool:
    """Whether a dating statement is of a pregnancy after the last end."""
    start = read_start(statement)
    return start is not None and (end is None or start.last > end.first)


def _find_beginning(claims: Sequence[Statement]) -> date:
    """The first day on which the newest pregnancy was stated: statements further apart are of two pregnancies."""
    days = sorted(s.day for s in claims)
    first = days[0]
    for day in days:
        if day - first > LONGEST:
            first = day
    return first


def _date_pregnancy(statements: Sequence[Statement], end: End | None, since: date, today: date) -> Start | None:
    """The chosen start among those that can be of the pregnancy stated ``since``."""
    starts = []
    for s in statements:
        if s.meaning not in ("edd", "lmp", "age") or not _starts_after(s, end):
            continue
        start = read_start(s)
        if start is not None and start.first <= today and since <= start.last + LONGEST:
            starts.append(start)
    return choose_start(starts)


def _is_multiple(statements: Sequence[Statement], claims: Sequence[Statement], end: End | None, today: date) -> bool:
    """Whether a code says so, or the newest count of fetuses of this pregnancy."""
    since = today - LONGEST if end is None else max(today - LONGEST, end.last + SOONEST)
    counts = [s for s in statements if s.meaning == "fetuses" and s.day > since]
    return any(s.multiple for s in (*claims, *counts[-1:]))


def _describe_pregnancy(
    claims: Sequence[Statement], start: Start | None, today: date, multiple: bool
) -> PregnancyState:
    newest = max(
        (s for s in claims if s.meaning in ("pregnancy", "status", "antenatal")), default=None, key=lambda s: s.day
    )
    sources = [newest.source] if newest is not None else []
    if start is None:
        return PregnancyState(True, None, None, None, _unique(sources), multiple=multiple)
    low, high = max(0, (today - start.last).days), (today - start.first).days
    weeks = low // 7 if low // 7 == high // 7 else None
    days = low % 7 if low == high else None
    precision = "day" if low == high else "week" if high - low < 7 else "range"
    statement = start.statement
    return PregnancyState(
        True,
        weeks,
        days,
        None,
        _unique([*sources, statement.source]),
        age=(low, min(high, LONGEST.days)),
        dating=Dating(statement.method, statement.source or None, precision),
        multiple=multiple,
    )


def _describe_absence(
    statements: Sequence[Statement], end: End | None, denied: date | None, today: date
) -> PregnancyState:
    """No current pregnancy is stated: ended, denied, or not on record."""
    if end is not None and today - end.last <= POSTPARTUM:
        low, high = (max(0, (today - day).days) // 7 for day in (end.last, end.first))
        contradicted = any(s.meaning == "status" and s.value == "pregnant" and s.day > end.last for s in statements)
        weeks = low if low == high else None
        sources = (end.source,) if end.source else ()
        return PregnancyState(None if contradicted else False, None, None, weeks, sources, postpartum=(low, high))
    if denied is not None and today - denied <= TERM:
        return PregnancyState(False, None, None, None, (), denied=denied)
    return _UNKNOWN


def _unique(sources: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s for s in sources if s))


def find_start_at(row: FeatureRow, moment: datetime, as_of: datetime) -> date | None:
    """The exact start of the pregnancy going on at ``moment``, as ``as_of`` knows it; None outside of one."""
    statements = [s for s in read_statements(row, as_of) if not s.undated]
    ended = find_last_end(statements)
    day = moment.date()
    before = None if ended is None or day <= ended.last else ended
    claims = _list_claims(statements, before, as_of.date())
    if not claims:
        return None
    start = _date_pregnancy(statements, before, _find_beginning(claims), as_of.date())
    if start is None or not start.exact or not timedelta(0) <= day - start.first <= LONGEST:
        return None
    return start.first
