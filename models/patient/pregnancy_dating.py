"""Choose the date that a pregnancy is counted from, among all that a record states.

    start = EDD − 280 d | first day of the last period | day of an age − age      (a range where a date is partial)
    ultrasound before another method iff |start_us − start| > allowance(age at the scan)

1. The paper does not say how pregnancies are dated. The rule is ACOG Committee Opinion 700 (Methods for Estimating the
   Due Date, 2017): a transfer of embryos dates for good; else the last period, unless the earliest scan differs by more
   than its table allows.
2. A date without a stated method is the clinician's own: it replaces the last period, and a scan made after it may
   replace it. A partial date gives a range and never an exact week.

Run: ``pmlm patient PATIENT``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from models.patient.pregnancy_statements import Statement, parse_period

#: Naegele's rule: delivery is expected 280 days after the last period began.
TERM = timedelta(days=280)
#: ACOG 700, table 1: up to this age in days by the last period (inclusive), a scan may differ by so many days.
ACOG_700 = ((62, 5), (111, 7), (153, 10), (195, 14))
ACOG_700_LATEST = 21
#: Methods in the order in which they date; ultrasound is compared as the table says.
ORDER = (
    "embryo transfer",
    "clinical",
    "last period",
    "ovulation",
    "conception",
    "ultrasound",
    "earlier estimate",
    "examination",
    "weeks code",
    "trimester code",
)
_AGE = re.compile(r"(?:(\d+)-)?(\d+) (d|wk)(?: (\d{4}(?:-\d\d){0,2}))?")


@dataclass(frozen=True, slots=True)
class Start:
    """When a pregnancy began, counted as from a last period: between two days, by one statement."""

    first: date
    last: date
    statement: Statement

    @property
    def exact(self) -> bool:
        """Whether the day is known."""
        return self.first == self.last


def read_start(statement: Statement) -> Start | None:
    """The start that a dating statement implies; None where its value cannot be read."""
    if statement.meaning == "age":
        return _read_age(statement)
    period = parse_period(statement.value)
    if period is None:
        return None
    back = TERM if statement.meaning == "edd" else timedelta(0)
    return Start(period[0] - back, period[1] - back, statement)


def _read_age(statement: Statement) -> Start | None:
    """An age of whole weeks may be up to six days more; its own day may be partial too."""
    found = _AGE.fullmatch(statement.value)
    days = (statement.day, statement.day) if found is None or not found[4] else parse_period(found[4])
    if found is None or days is None:
        return None
    low, high = int(found[1] or found[2]), int(found[2])
    if found[3] == "wk":
        low, high = 7 * low, 7 * high + 6
    return Start(days[0] - timedelta(days=high), days[1] - timedelta(days=low), statement)


def choose_start(starts: Sequence[Start]) -> Start | None:
    """The start that counts among those of one pregnancy, by ACOG 700; None where there is none."""
    scans = [s for s in starts if s.statement.method == "ultrasound"]
    others = [s for s in starts if s.statement.method != "ultrasound"]
    base = _choose_by_order(others)
    if not scans or (base is not None and base.statement.method == ORDER[0]):
        return base
    scan = min(scans, key=lambda s: (not s.exact, s.statement.day))
    if base is None or ORDER.index(base.statement.method) > ORDER.index("ultrasound"):
        return scan
    if base.statement.method == "clinical" and base.statement.day >= scan.statement.day:
        return base  # the clinician knew the scan
    if not base.exact:
        return scan
    age = (scan.statement.day - base.first).days
    differs = max(abs((scan.first - base.first).days), abs((scan.last - base.first).days))
    return scan if differs > find_allowance(age) else base


def find_allowance(age_days: int) -> int:
    """The days by which a scan at this age may differ from the last period."""
    return next((allowed for up_to, allowed in ACOG_700 if age_days <= up_to), ACOG_700_LATEST)


def _choose_by_order(starts: Iterable[Start]) -> Start | None:
    """The newest of the first method there is; a later method's day within its range makes it exact."""
    ordered = sorted(starts, key=lambda s: (ORDER.index(s.statement.method), -s.statement.day.toordinal(), not s.exact))
    if not ordered:
        return None
    best = ordered[0]
    newest = [
        s for s in ordered if s.statement.method == best.statement.method and s.statement.day == best.statement.day
    ]
    if len({(s.first, s.last) for s in newest}) > 1:  # one day, one method, two dates: what both allow, else all
        first, last = max(s.first for s in newest), min(s.last for s in newest)
        if first > last:
            first, last = min(s.first for s in newest), max(s.last for s in newest)
        best = Start(first, last, best.statement)
    if not best.exact:
        within = (s for s in ordered if s.exact and best.first <= s.first <= best.last)
        best = next(within, best)
    return best
