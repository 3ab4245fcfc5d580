"""Pregnancy as values: dates as written, gestational ages, statuses and outcomes in one wording each."""

from __future__ import annotations

import re
from typing import Any

from models.patient.pregnancy_statements import (
    ANSWERS,
    DELIVERED_CODES,
    ENDED_CODES,
    FETUSES_CODES,
    OBSERVATION_CODES,
    OUTCOME_CODES,
    STATUS_CODES,
    look_up_dating,
)
from pipelines.records.read.coding import choose_coding
from pipelines.records.read.fhir_time import parse_latest_time, parse_time
from pipelines.records.read.raw_resource import Resource

_WEEK_UNITS = ("wk", "{wk}", "week", "weeks", "wks", "w")
_DAY_UNITS = ("d", "{d}", "day", "days")
_WEEKS, _DAYS = "LOINC//49051-6", "LOINC//49052-4"
#: "38 5/7", "38w5d", "38+5", "38 weeks 5 days", "38 weeks", "270 days"
_WEEKS_DAYS = re.compile(
    r"(\d{1,2})\s*(?:(?:w(?:ee)?ks?|w)?[\s,+]*(?:and\s+)?(\d)\s*(?:/\s*7|d(?:ays?)?)?\s*(?:w(?:ee)?ks?|w)?)", re.I
)
_WEEKS_ONLY = re.compile(r"(\d{1,2})\s*(?:w(?:ee)?ks?|w)(?:\s+(?:gestation|pregnant))?", re.I)
_DAYS_ONLY = re.compile(r"(\d{1,3})\s*d(?:ays?)?", re.I)
_ULTRASOUND = ("SNOMED//16310003", "SNOMED//241493005", "SNOMED//268445003")
_TRANSFER = ("embryo transfer", "ivf", "icsi", "assisted reproduct")
_YES = ("pregnant", "yes", "currently pregnant", "true", "pregnancy")
_NO = ("not pregnant", "no", "not currently pregnant", "false")
#: A birth by its name, where its code is in no set: "Delivery by …", "Repeat cesarean section", "Vaginal delivery".
_HOW = (
    r"(?:(?:emergency|elective|repeat|primary|planned|unplanned|urgent|lower|segment|low|transverse|uterine|classical|"
    r"spontaneous|normal|assisted|operative|instrumental|vaginal|vertex|breech|forceps|vacuum|ventouse|preterm|term|"
    r"premature|live)[\s,-]+)"
)
_BIRTH = re.compile(
    rf"{_HOW}*ca?esarean (?:section|delivery)(?: (?:by|with|of) .*)?|{_HOW}+(?:delivery|birth)(?: (?:by|with|of) .*)?"
    r"|delivery by .*|delivery of (?:fetus|infant|baby|twins?|triplets|placenta|face|breech|vertex)\b.*",
    re.I,
)
#: Outcomes by name, as an answer to what came of a pregnancy.
_OUTCOME = re.compile(
    r"live ?birth|still ?birth|born|miscarriage|abortion|termination|deliver|ca?esarean|vaginal|loss", re.I
)
_NO_OUTCOME = re.compile(r"\bnot?\b|ongoing|current|planned|unknown|threatened|history", re.I)
_DETERMINED = "date-determined-extension"
LONGEST_DAYS = 45 * 7
OUTCOME_CODE = "LOINC//63893-2"  # outcome of pregnancy


def is_pregnancy_value(code: str) -> bool:
    """Whether an observation of this code states something about pregnancy."""
    return code in OBSERVATION_CODES


def read_pregnancy_value(code: str, part: Resource, resource: Resource) -> str | None:
    """What an observation, or one component of it, states: the text of its event; None where it states nothing.

    A date stays as written, whole or partial. An age is days or completed weeks with the day it is of.
    """
    if code in STATUS_CODES or code in OUTCOME_CODES:
        return _read_answer(code, part)
    if code in FETUSES_CODES:
        number = part.get("valueInteger", part.get("valueQuantity", {}).get("value"))
        return f"{int(number)}" if number is not None and number == int(number) else None
    if code in DELIVERED_CODES:
        return _read_date(part)
    meaning, _ = look_up_dating(code)
    value = _read_age(code, part, resource) if meaning == "age" else _read_date(part)
    method = _read_method(part) or _read_method(resource)
    return f"{value}; {method}" if value and method else value


def find_days(resource: Resource) -> str | None:
    """The single day (or part of a date) that an observation is of, as written."""
    period = resource.get("effectivePeriod", {})
    at = (
        resource.get("effectiveDateTime")
        or resource.get("effectiveInstant")
        or period.get("start")
        or period.get("end")
    )
    at = at or resource.get("issued")
    return at[:10] if at else None


def is_pregnancy_end(code: str) -> bool:
    """Whether a procedure or condition of this code ends a pregnancy."""
    return code in ENDED_CODES


def is_birth_by_name(text: str) -> bool:
    """Whether a procedure's name says that a child was delivered."""
    return _BIRTH.fullmatch(text.strip(" .")) is not None


def count_span(text: str | None, end: int) -> tuple[int, float] | None:
    """For a partial date: its latest time up to ``end``, and the days before that it can also mean."""
    if text is None or len(text) >= len("2026-06-01"):
        return None
    first, last = parse_time(text), parse_latest_time(text)
    if first is None or last is None:
        return None
    last = min(last, end)
    return last, float((last - first) // 86_400_000_000)


def _read_answer(code: str, part: Resource) -> str | None:
    """``pregnant``, ``not pregnant``, ``unknown``, ``ended`` or ``postpartum``; None for any other answer."""
    if "valueBoolean" in part and code in STATUS_CODES:
        return "pregnant" if part["valueBoolean"] else "not pregnant"
    concept = part.get("valueCodeableConcept") or ({"text": part["valueString"]} if "valueString" in part else None)
    if concept is None:
        return None
    found = {
        answer
        for coding in ({"coding": [c]} for c in concept.get("coding", []) if "code" in c)
        for answer, codes in ANSWERS.items()
        if choose_coding(coding).code in codes
    }
    if len(found) == 1:
        return found.pop()
    text = choose_coding(concept).text.lower().strip(" .")
    if not found and code in STATUS_CODES:
        return "pregnant" if text in _YES else "not pregnant" if text in _NO else None
    return "ended" if not found and _OUTCOME.search(text) and not _NO_OUTCOME.search(text) else None


def _read_date(part: Resource) -> str | None:
    text: Any = part.get("valueDateTime") or part.get("valueString")
    if not isinstance(text, str) or parse_time(text.strip()) is None:
        return None
    return text.strip()[:10]


def _read_age(code: str, part: Resource, resource: Resource) -> str | None:
    """``157 d 2026-05-27`` or, where only completed weeks are stated, ``22 wk 2026-05-27``."""
    day = _read_determined(part) or find_days(resource)
    quantity = _read_quantity(code, part) or _parse_age(part.get("valueString", "").strip())
    if day is None or quantity is None:
        return None
    number, unit = quantity
    if code == _WEEKS and unit == "wk" and (more := _find_days_beyond(resource)) is not None:
        number, unit = 7 * number + more, "d"
    if code == _DAYS and number < 7:
        return None  # the days beyond the weeks that another component states
    return f"{number} {unit} {day}" if 0 < number * (7 if unit == "wk" else 1) <= LONGEST_DAYS else None


def _read_quantity(code: str, part: Resource) -> tuple[int, str] | None:
    quantity = part.get("valueQuantity", {})
    value = part.get("valueInteger", quantity.get("value"))
    if value is None or "comparator" in quantity:
        return None
    units = [quantity[key].strip().lower() for key in ("code", "unit") if key in quantity]
    units = units or {_WEEKS: ["wk"], _DAYS: ["d"]}.get(code, [])
    if any(unit in _DAY_UNITS for unit in units):
        return (int(value), "d") if value == int(value) else None
    if not any(unit in _WEEK_UNITS for unit in units):
        return None
    days = 7 * value
    # one decimal may be sevenths written as tenths: only completed weeks are certain then
    written = len(repr(float(value)).partition(".")[2])
    if value != int(value) and written > 1 and abs(days - round(days)) < 0.12:
        return round(days), "d"
    return int(value), "wk"


def _parse_age(text: str) -> tuple[int, str] | None:
    if (found := _DAYS_ONLY.fullmatch(text)) is not None:
        return int(found[1]), "d"
    if (found := _WEEKS_ONLY.fullmatch(text)) is not None:
        return int(found[1]), "wk"
    if (found := _WEEKS_DAYS.fullmatch(text)) is not None and int(found[2]) < 7:
        return 7 * int(found[1]) + int(found[2]), "d"
    return None


def _find_days_beyond(resource: Resource) -> int | None:
    """The days beyond completed weeks that a component states."""
    for part in resource.get("component", []):
        value = part.get("valueQuantity", {}).get("value", part.get("valueInteger"))
        if choose_coding(part["code"]).code == _DAYS and value is not None and 0 <= value < 7 and value == int(value):
            return int(value)
    return None


def _read_determined(part: Resource) -> str | None:
    """The day on which a component was determined (US Public Health Library's extension)."""
    for extension in part.get("extension", []):
        if isinstance(extension, dict) and str(extension.get("url", "")).endswith(_DETERMINED):
            at = extension.get("valueDateTime")
            return at[:10] if isinstance(at, str) and parse_time(at) is not None else None
    return None


def _read_method(part: Resource) -> str | None:
    """``ultrasound`` or ``embryo transfer`` where the observation's method says so."""
    if "method" not in part:
        return None
    concept = choose_coding(part["method"])
    text = f"{concept.text} {part['method'].get('text', '')}".lower()
    if concept.code in _ULTRASOUND or "ultraso" in text or "sonogra" in text:
        return "ultrasound"
    return "embryo transfer" if any(word in text for word in _TRANSFER) else None
