"""Compute pregnancy, gestational age and weeks postpartum as of a moment.

    start = EDD − 280 d, else LMP, else unknown        (d = whole days from start to as_of)
    weeks = ⌊d / 7⌋, days = d mod 7                    (0 ≤ d ≤ 308, else unknown)
    postpartum_weeks = ⌊(as_of − end of pregnancy) / 7 d⌋   (0 … 52, else None)

1. The paper speaks of obstetric records and not of dating. This is the usual rule: Naegele's 280 days; an expected
   delivery date, which a scan may have set, outranks the last period.
2. It never guesses: a pregnancy without either date has no week. A last period alone dates a pregnancy but never
   makes one, since it is asked of every patient.

Run: ``pmlm ask``, ``pmlm features show PATIENT``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from models.feature_row import has_record, read_text, read_time
from models.schema import FeatureRow

#: These three date pregnancies everywhere: in features, peers, triage and the sample clinic too.
TERM = timedelta(days=280)
#: 44 weeks: no pregnancy lasts longer, so an older date belongs to an earlier one or was never closed.
LONGEST = timedelta(days=308)
POSTPARTUM = timedelta(weeks=52)


@dataclass(frozen=True, slots=True)
class PregnancyState:
    """A patient's pregnancy as of a moment.

    ``pregnant`` is True, False (there is a record without a current pregnancy) or None (unknown: no record, or a
    pregnancy begun longer ago than any lasts and never closed). ``weeks`` and ``days`` are completed weeks and the days
    beyond, None when undated. ``postpartum_weeks`` counts from any end of a pregnancy, loss included.
    """

    pregnant: bool | None
    weeks: int | None
    days: int | None
    postpartum_weeks: int | None
    sources: tuple[str, ...]


def _age_by_edd(row: FeatureRow, as_of: datetime, ended: datetime | None) -> timedelta | None:
    edd = read_time(row, "edd")
    return None if edd is None else _age_since(edd - TERM, as_of, ended)


def _age_by_lmp(row: FeatureRow, as_of: datetime, ended: datetime | None) -> timedelta | None:
    lmp = read_time(row, "lmp")
    return None if lmp is None else _age_since(lmp, as_of, ended)


def _age_since(start: datetime, as_of: datetime, ended: datetime | None) -> timedelta | None:
    """The age of a pregnancy since ``start``; None where ``start`` belongs to an earlier one."""
    age = as_of - start
    return age if (ended is None or start > ended) and timedelta(0) <= age <= LONGEST else None


def read_pregnancy_state(row: FeatureRow, as_of: datetime) -> PregnancyState:
    """Compute pregnancy and gestational age from ``edd``, ``lmp``, ``pregnancy_since``, ``pregnancy_ended``."""
    since, ended = read_time(row, "pregnancy_since"), read_time(row, "pregnancy_ended")
    if since is not None and ended is not None and ended >= since:
        since = None
    by_edd = _age_by_edd(row, as_of, ended)
    active = since is not None and as_of - since <= LONGEST
    if active or by_edd is not None:
        age, source = (by_edd, "edd_source") if by_edd is not None else (_age_by_lmp(row, as_of, ended), "lmp_source")
        names = ("pregnancy_source", source) if age is not None else ("pregnancy_source",)
        sources = tuple(s for s in (read_text(row, n) for n in names) if s)
        days = None if age is None else age.days
        return PregnancyState(
            True, None if days is None else days // 7, None if days is None else days % 7, None, sources
        )
    since_end = None if ended is None else as_of - ended
    weeks = since_end.days // 7 if since_end is not None and timedelta(0) <= since_end <= POSTPARTUM else None
    known = has_record(row) and since is None  # an active pregnancy beyond 44 weeks was never closed: unknown
    return PregnancyState(False if known else None, None, None, weeks, ())
