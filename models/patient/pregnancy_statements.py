"""Read what a record states about pregnancy: each statement with its meaning, day and source.

    statement = (meaning, code, value, day, source)       meaning and method follow from the code

1. The paper takes obstetric facts as given. Real records state them in many ways (conditions, a status, delivery dates,
   gestational ages, outcomes), so the feature row carries the statements and this file reads them.
2. ``models/code_files/pregnancy.csv`` lists the codes with their sources. A code that is not in it states nothing.

Run: ``pmlm patient PATIENT``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache, reduce
from operator import or_
from typing import Literal

from models.code_sets import CodeSet, read_code_sets
from models.feature_row import read_text, read_texts, read_time, read_times
from models.schema import FeatureRow

Meaning = Literal["pregnancy", "antenatal", "ended", "postpartum", "status", "edd", "lmp", "age", "fetuses"]

EPISODE_CODE = "PMLM//MATERNITY_EPISODE"  # an EpisodeOfCare of maternity care
CHILD_CODE = "PMLM//CHILD_BORN"  # the birth date of a linked child

_SETS = read_code_sets("pregnancy")
#: Sets of codes that are questions: what they say is in the value.
_DATED = {name: codes for name, codes in _SETS.items() if ":" in name}
DATING_CODES: CodeSet = reduce(or_, _DATED.values())
EDD_CODES: CodeSet = reduce(or_, (codes for name, codes in _DATED.items() if name.startswith("edd:")))
LMP_CODES: CodeSet = reduce(or_, (codes for name, codes in _DATED.items() if name.startswith("lmp:")))
STATUS_CODES, OUTCOME_CODES, DELIVERED_CODES = _SETS["status"], _SETS["outcome"], _SETS["delivered on"]
ENDED_CODES, MULTIPLE_CODES, FETUSES_CODES = _SETS["ended"], _SETS["multiple"], _SETS["fetuses"]
#: Conditions that state something, and observations that do.
CONDITION_CODES: CodeSet = _SETS["pregnancy"] | _SETS["antenatal"] | ENDED_CODES | _SETS["postpartum"]
OBSERVATION_CODES: CodeSet = (
    DATING_CODES | STATUS_CODES | OUTCOME_CODES | DELIVERED_CODES | FETUSES_CODES | CodeSet(frozenset({CHILD_CODE}))
)
PREGNANCY_CODES: CodeSet = CONDITION_CODES | OBSERVATION_CODES
#: What an answer to a status or outcome says.
ANSWERS: dict[str, CodeSet] = {
    "pregnant": _SETS["answer pregnant"] | _SETS["pregnancy"],
    "not pregnant": _SETS["answer not pregnant"],
    "unknown": _SETS["answer unknown"],
    "ended": ENDED_CODES,
    "postpartum": _SETS["postpartum"],
}

#: Codes of ICD-10-CM whose last character is the trimester, and its limits in days (ICD-10-CM, chapter 15). That of a
#: shorter code is none: O22.3 is a clot and O23.3 an infection, in ICD-10 too.
_TRIMESTER = re.compile(
    r"ICD10//(?:Z34\.[089]|O09\.(?:[013479A]|[2568]\w)|O22\.(?:[0-59]|8X)|O23\.(?:[0-49]|5\w))([123])"
)
_TRIMESTERS = {"1": (28, 97), "2": (98, 195), "3": (196, 308)}
#: ICD-10-CM Z3A: completed weeks; 01 is below 8 weeks, 49 beyond 42.
_WEEKS_CODE = re.compile(r"ICD10//Z3A\.(\d\d)")
_ENDED_VALUE = re.compile(r"ended (\d{4}-\d\d-\d\d)/(\d+)")
#: Ends the value of an entry without a date, whose time is when it became known.
UNDATED = "; undated"
#: Meanings of a code's own day: without a date they say nothing of when.
_OF_A_DAY = ("pregnancy", "antenatal", "ended", "postpartum", "status")
_SPAN_VALUE = re.compile(r"within (\d+) d")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; ``closed`` are the first and last day on which its condition may have ended.

    ``span`` are the days before ``day`` on which an end may lie; ``method`` is of a dating statement. ``undated``: it
    has no date, and ``day`` is when it became known.
    """

    meaning: Meaning
    code: str
    value: str
    day: date
    source: str
    method: str = ""
    span: int = 0
    closed: tuple[date, date] | None = None
    undated: bool = False

    @property
    def multiple(self) -> bool:
        """Whether it says that there is more than one fetus."""
        return self.code in MULTIPLE_CODES or (
            self.meaning == "fetuses" and self.value.isdigit() and int(self.value) > 1
        )


def read_statements(row: FeatureRow, as_of: datetime) -> tuple[Statement, ...]:
    """The statements of a row up to ``as_of``, oldest first; of a row from before there were any, its dates."""
    texts = zip(
        read_texts(row, "pregnancy_codes"),
        read_texts(row, "pregnancy_values"),
        read_times(row, "pregnancy_times"),
        read_texts(row, "pregnancy_sources"),
        strict=False,
    )
    found = [s for code, value, at, source in texts if at and at <= as_of for s in _read_entry(code, value, at, source)]
    if not found:
        found = list(_read_dates(row, as_of))
    return tuple(sorted(found, key=lambda s: s.day))


def _read_entry(code: str, value: str, at: datetime, source: str) -> Iterator[Statement]:
    """The statements of one entry; without a date none of a week, and those of a day are ``undated``."""
    stated = value.removesuffix(UNDATED)
    for statement in _interpret(code, stated, at, source):
        if stated == value or code in DELIVERED_CODES:
            yield statement
        elif statement.meaning in _OF_A_DAY:
            yield replace(statement, undated=True)
        elif statement.meaning == "edd" and (period := parse_period(statement.value)) is not None:
            yield replace(statement, day=min(statement.day, period[1]))  # it was expected before it was due
        elif code in DATING_CODES or code in FETUSES_CODES:
            yield statement


def _interpret(code: str, value: str, at: datetime, source: str) -> Iterator[Statement]:
    """The statements of one entry: a code may state a pregnancy and its age."""
    day = at.date()
    if (closed := _ENDED_VALUE.fullmatch(value)) is not None:
        last = date.fromisoformat(closed[1])
        period = (last - timedelta(days=int(closed[2])), last)
    else:
        period = None
    span = int(within[1]) if (within := _SPAN_VALUE.fullmatch(value)) is not None else 0
    if code == CHILD_CODE or code in ENDED_CODES:
        yield Statement("ended", code, value, day, source, span=span)
    elif code in DELIVERED_CODES:
        yield from _read_delivery(code, value, source, day)
    elif code in OUTCOME_CODES or code in STATUS_CODES:
        yield from _read_answer(code, value, day, source)
    elif code in FETUSES_CODES:
        yield Statement("fetuses", code, value, day, source)
    elif code in DATING_CODES:
        meaning, method = look_up_dating(code)
        stated, _, other = value.partition("; ")
        yield Statement(meaning, code, stated, day, source, method=other or method)
    elif code in _SETS["postpartum"]:
        yield Statement("postpartum", code, value, day, source)
    elif code == EPISODE_CODE or code in _SETS["pregnancy"]:
        yield Statement("pregnancy", code, "", day, source, closed=period)
    elif code in _SETS["antenatal"]:
        yield Statement("antenatal", code, "", day, source)
    yield from _read_coded_age(code, day, source)


def _read_answer(code: str, value: str, day: date, source: str) -> Iterator[Statement]:
    if value == "ended":
        yield Statement("ended", code, value, day, source)
    elif value == "postpartum":
        yield Statement("postpartum", code, value, day, source)
    elif code in STATUS_CODES and value in ("pregnant", "not pregnant"):
        yield Statement("status", code, value, day, source)


def _read_delivery(code: str, value: str, source: str, day: date) -> Iterator[Statement]:
    """The end on the day that the value names; a partial date is a span, none later than it was stated."""
    period = parse_period(value)
    if period is not None and period[0] <= day:
        last = min(period[1], day)
        yield Statement("ended", code, value, last, source, span=(last - period[0]).days)


def is_week_code(code: str) -> bool:
    """Whether a condition's code means nothing but the gestational week of its day, and so is no lasting condition."""
    return _WEEKS_CODE.fullmatch(code) is not None


def _read_coded_age(code: str, day: date, source: str) -> Iterator[Statement]:
    """The gestational age that a code of ICD-10-CM means, as a range of days."""
    if (weeks := _WEEKS_CODE.fullmatch(code)) is not None and weeks[1] != "00":
        number = int(weeks[1])
        low, high = {1: (28, 55), 49: (301, 308)}.get(number, (7 * number, 7 * number + 6))
        yield Statement("age", code, f"{low}-{high} d", day, source, method="weeks code")
    elif (trimester := _TRIMESTER.fullmatch(code)) is not None:
        low, high = _TRIMESTERS[trimester[1]]
        yield Statement("age", code, f"{low}-{high} d", day, source, method="trimester code")


def _read_dates(row: FeatureRow, as_of: datetime) -> Iterator[Statement]:
    """The statements behind ``edd``, ``lmp``, ``pregnancy_since`` and ``pregnancy_ended``."""
    for name, meaning, code, method in (
        ("edd", "edd", "LOINC//11778-8", "clinical"),
        ("lmp", "lmp", "LOINC//8665-2", "last period"),
    ):
        if (at := read_time(row, name)) is not None:
            day, source = at.date(), read_text(row, f"{name}_source") or ""
            yield Statement(meaning, code, day.isoformat(), min(day, as_of.date()), source, method)  # type: ignore[arg-type]
    since, ended = read_time(row, "pregnancy_since"), read_time(row, "pregnancy_ended")
    if since is not None and since <= as_of:
        source = read_text(row, "pregnancy_source") or ""
        yield Statement("pregnancy", "SNOMED//77386006", "", since.date(), source)
    if ended is not None and ended <= as_of:
        yield Statement("ended", "SNOMED//386216000", "", ended.date(), "")


@lru_cache(maxsize=256)
def look_up_dating(code: str) -> tuple[Meaning, str]:
    """The meaning of a dating code (``edd``, ``lmp``, ``age``) and its method."""
    name = next(name for name, codes in _DATED.items() if code in codes)
    meaning, _, method = name.partition(":")
    return meaning, method  # type: ignore[return-value]


def parse_period(text: str) -> tuple[date, date] | None:
    """The first and last day that a possibly partial ISO date can mean, or None."""
    try:
        if len(text) == 4:
            return date(int(text), 1, 1), date(int(text), 12, 31)
        if len(text) == 7:
            first = date.fromisoformat(f"{text}-01")
            return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        day = date.fromisoformat(text[:10])
    except ValueError:
        return None
    return day, day
