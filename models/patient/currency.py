"""Decide which medicines and conditions of the record are current as of a moment.

    medicine  is current   while as_of ≤ end of its stated supply, else while as_of ≤ last order + medicine_days
    condition is current   unless it is acute and as_of > when it was last noted + acute_days
    drug allergy           always

1. The paper's record is a list of codes without an end. In a real record most ends are missing: a medicine ordered 17
   years ago and never renewed still has status ``active``. Such entries are said as history, never left out.
2. ``medicine_days`` is a year: prescriptions in most US states, and repeat prescriptions of the NHS, are valid for at
   most 12 months, so that without a renewal none was dispensed since. ``acute_days`` is three months, beyond which
   the US National Health Interview Survey calls a condition chronic. Both are settings.
3. Acute are the ICD-10-CM codes of infections, symptoms and injuries that HCUP's Chronic Condition Indicator calls not
   chronic, and some SNOMED CT codes (:mod:`models.patient.acute_conditions` has versions and refresh), and SNOMED CT
   names that begin with "acute". What ``vocabulary.CONCEPTS`` reads
   as a condition of its own, such as a clot, never fades, but for a urinary infection.
4. An entry without a date is of unknown age: a medicine and a lasting condition are current while they are open, an
   acute condition is not.
5. An implant or a coil works for years after its one order (``long_acting.csv``, from the FDA labels).

Run: ``pmlm patient PATIENT``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain, repeat
from typing import Literal

from models.feature_row import read_texts, read_times
from models.patient.acute_conditions import is_acute_code
from models.schema import FeatureRow
from models.vocabulary import find_concept

Reason = Literal["", "supply_ended", "not_renewed", "acute_course_over", "acute_undated"]

_DAYS_PER_YEAR = 365
_DAY = 86_400
#: Names that begin with "acute" and are no short illness.
_LASTING = re.compile(
    r"leuk|lymph|myelo|infarct|coronary|thromb|embol|stroke|h(?:a)?emorrhage|porphyri|rheumatic|kidney|renal|hepat|"
    r"failure|myocard|psycho|stress disorder|on chronic"
)
_FADING_CONCEPTS = frozenset({"urinary_infection"})


@dataclass(frozen=True, slots=True)
class CurrencyRule:
    """For how many days an entry without a stated end is current."""

    medicine_days: int = _DAYS_PER_YEAR
    acute_days: int = 90


DEFAULT_RULE = CurrencyRule()


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """An open medicine or condition; ``reason`` says why it is not current, empty for one that is.

    ``undated``: its record has no date.
    """

    code: str
    text: str
    time: datetime | None
    source: str
    reason: Reason = ""
    undated: bool = False


def list_medicines(row: FeatureRow, as_of: datetime, rule: CurrencyRule = DEFAULT_RULE) -> list[RecordEntry]:
    """List the open medicines, the current ones first, each newest first."""
    ends, at = chain(read_times(row, "medicine_ends"), repeat(None)), as_of.timestamp()
    entries = [
        RecordEntry(
            code, text, time, source, judge_medicine(text, _to_seconds(time), _to_seconds(end), at, rule), undated
        )
        for (code, text, time, source, undated), end in zip(_list_columns(row, "medicine"), ends, strict=False)
    ]
    return sorted(entries, key=lambda entry: entry.reason != "")


def list_conditions(row: FeatureRow, as_of: datetime, rule: CurrencyRule = DEFAULT_RULE) -> list[RecordEntry]:
    """List the open conditions, the current ones first, each newest first."""
    at = as_of.timestamp()
    entries = [
        RecordEntry(code, text, time, source, judge_condition(code, text, _to_seconds(time), at, rule), undated)
        for code, text, time, source, undated in _list_columns(row, "condition")
    ]
    return sorted(entries, key=lambda entry: entry.reason != "")


def list_suspected(row: FeatureRow) -> list[RecordEntry]:
    """List the conditions that the record only suspects, newest first."""
    columns = _list_columns(row, "suspected")
    return [RecordEntry(code, text, time, source, undated=undated) for code, text, time, source, undated in columns]


def judge_medicine(
    name: str, ordered: float | None, end: float | None, as_of: float, rule: CurrencyRule = DEFAULT_RULE
) -> Reason:
    """Why an open medicine is not current; ``end`` is that of its stated supply, else not after ``ordered``.

    Times are seconds since 1970.
    """
    if ordered is None:
        return ""
    if end is not None and end > ordered:
        return "supply_ended" if as_of > end else ""
    return "not_renewed" if as_of > ordered + _DAY * _count_days(name, rule) else ""


def judge_condition(
    code: str, name: str, noted: float | None, as_of: float, rule: CurrencyRule = DEFAULT_RULE
) -> Reason:
    """Why an open condition is not current; times are seconds since 1970."""
    if noted is not None and as_of <= noted + _DAY * rule.acute_days:
        return ""
    if not is_acute(code, name):
        return ""
    return "acute_undated" if noted is None else "acute_course_over"


def _to_seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


@lru_cache(maxsize=1 << 14)
def is_acute(code: str, name: str) -> bool:
    """Whether a condition ends by itself, by its code or, in SNOMED CT, its name."""
    system, _, value = code.partition("//")
    concept = find_concept(code)
    if concept is not None and concept.name not in _FADING_CONCEPTS:
        return False
    named = system == "SNOMED" and name.lower().startswith("acute ") and not _LASTING.search(name.lower())
    return named or is_acute_code(system, value)


def _count_days(name: str, rule: CurrencyRule) -> int:
    """Count the days for which a medicine without a stated supply is current."""
    lowered = name.lower()
    years = next((years for word, years in _read_long_acting() if word in lowered), 0)
    return max(rule.medicine_days, years * _DAYS_PER_YEAR)


@cache
def _read_long_acting() -> tuple[tuple[str, int], ...]:
    """Words in the name of a medicine that works for years after its order, with those years, in the file's order."""
    with (files("models.patient") / "long_acting.csv").open(encoding="utf-8") as file:
        return tuple((row["word"], int(row["years"])) for row in csv.DictReader(file))


def _list_columns(row: FeatureRow, group: str) -> Iterator[tuple[str, str, datetime | None, str, bool]]:
    """Zip the parallel arrays of a group: code, text, time, source, and whether the time is null.

    "" and None where one is shorter.
    """
    codes, texts = read_texts(row, f"{group}_codes"), read_texts(row, f"{group}_texts")
    times, sources = read_times(row, f"{group}_times"), read_texts(row, f"{group}_sources")
    for i in range(max(len(codes), len(texts))):
        yield (
            codes[i] if i < len(codes) else "",
            texts[i] if i < len(texts) else "",
            times[i] if i < len(times) else None,
            sources[i] if i < len(sources) else "",
            i < len(times) and times[i] is None,
        )
