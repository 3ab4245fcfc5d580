"""Find when the last pregnancy ended, as a first and a last possible day.

    end = first recorded end of the last pregnancy, else the days in which its condition was closed

1. The paper does not treat ends. A birth is written several times (a procedure, a diagnosis, an outcome, a closed
   condition), on days that differ, so ends within ``SAME_END`` are one, and the first exact day counts.
2. Puerperal care shows that a pregnancy ended before it, not when: it is a range of ``PUERPERIUM`` days.

Run: ``pmlm patient PATIENT``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from models.patient.pregnancy_statements import Statement

#: Ends closer than this are of one pregnancy: no second one fits between them.
SAME_END = timedelta(days=42)
#: Postpartum care goes on for twelve weeks (ACOG Committee Opinion 736).
PUERPERIUM = timedelta(days=84)
#: A puerperal statement adds nothing within a year after a recorded end.
YEAR = timedelta(days=365)
#: An encounter's diagnosis may be closed with its visit: so short a condition says nothing of the pregnancy's end.
SHORTEST = timedelta(days=14)
LONGEST = timedelta(days=308)


@dataclass(frozen=True, slots=True)
class End:
    """The first and last day on which a pregnancy may have ended."""

    first: date
    last: date
    source: str


def find_last_end(statements: Sequence[Statement]) -> End | None:
    """The end of the last pregnancy that ended; None where none is on record."""
    coded = [End(s.day - timedelta(days=s.span), s.day, s.source) for s in statements if s.meaning == "ended"]
    ends = coded + _list_closed(statements)
    for s in statements:
        if s.meaning == "postpartum" and not any(s.day - YEAR <= e.last <= s.day for e in ends):
            ends.append(End(s.day - PUERPERIUM, s.day, s.source))
    if not ends:
        return None
    newest = max(ends, key=lambda e: (e.last, e.first))
    first, together = newest.first, [newest]
    for end in sorted(ends, key=lambda e: e.last, reverse=True):
        if end.last >= first - SAME_END:
            together.append(end)
            first = min(first, end.first)
    exact = [e for e in together if e.first == e.last]
    if any(e in coded for e in exact):
        exact = [e for e in exact if e in coded]
    if exact:
        return min(exact, key=lambda e: e.last)
    return _intersect(newest, together)


def _list_closed(statements: Sequence[Statement]) -> list[End]:
    """Closed pregnancy conditions that no open one of the same pregnancy outlives."""
    pregnancies = [s for s in statements if s.meaning == "pregnancy"]
    found = []
    for s in pregnancies:
        if s.closed is None or s.closed[1] - s.day < SHORTEST:
            continue
        outlived = any(o.closed is None and s.day - LONGEST <= o.day <= s.closed[1] for o in pregnancies)
        if not outlived:
            found.append(End(max(s.closed[0], s.day), s.closed[1], s.source))
    return found


def _intersect(newest: End, ends: Sequence[End]) -> End:
    first, last = max(e.first for e in ends), min(e.last for e in ends)
    return End(first, last, newest.source) if first <= last else newest
