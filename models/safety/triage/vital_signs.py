"""Find numbers that are red flags: blood pressure, temperature, pulse, oxygen, sugar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from models.safety.triage.assertion_status import MessageSentence, TextSpan
from models.safety.triage.red_flag_table import Flag, load_table

_PRESSURE = re.compile(r"(?<![\d/.])(\d{2,3})\s*(?:/|over|on|by|upon|比|-|、)\s*(\d{2,3})(?![\d/])")
_PAIR = re.compile(r"(?:\bbp\b|pressure|血压)\D{0,20}(\d{2,3})[ ,，]+(\d{2,3})(?![\d/])")
_UPPER = re.compile(
    r"(?:\b(?:systolic|sbp|sys|syst|top|upper)\b|高压|收缩压|上压)(?:\s+\w+){0,4}?\s*[:：是为到]?\s*了?\s*(\d{2,3})(?!\d)"
)
_LOWER = re.compile(
    r"(?:\b(?:diastolic|dbp|dia|diast|bottom|lower)\b|低压|舒张压|下压)(?:\s+\w+){0,4}?\s*[:：是为到]?\s*了?\s*(\d{2,3})(?!\d)"
)
_ALONE = re.compile(r"(?:\bbp\b|blood pressure|血压)\D{0,12}?(\d{3})(?!\d|\s*(?:/|over|on|by|比|-)\s*\d)")
_TEMPERATURE = re.compile(
    r"(?:fever|temp\w*|体温|发烧|烧到|高烧|低烧)(?:\s+\w+){0,5}?\D{0,6}?(\d{2,3}(?:\.\d)?)(?!\d)"
    r"|(?<![\d.])(\d{2,3}(?:\.\d)?)\s*(?:°|º|degrees|度|celsius|fahrenheit|℃|c\b|f\b)"
)
_PULSE = re.compile(
    r"(?:pulse|heart rate|heartbeat|bpm|心率|心跳|脉搏)(?:\s+\w+){0,4}?\D{0,4}?(\d{2,3})(?!\d)"
    r"|(?<!\d)(\d{2,3})\s*(?:bpm|beats)"
)
_SATURATION = re.compile(
    r"(?:\bspo2\b|\bsp02\b|\bo2\b|\bsats?\b|saturation|oxygen|oximeter|血氧饱和度|血氧|氧饱和度)(?:\s+\w+){0,7}?\D{0,6}?"
    r"(?<!\d)(\d{2})\s*(?:%|percent)?(?![\d.])"
)
_SUGAR = re.compile(
    r"(?:sugars?|glucose|血糖)(?:\s+\w+){0,6}?\D{0,6}?(?<![\d.])(\d{1,3}(?:\.\d{1,2})?)(?![\d.])"
    r"|(?<![\d.])(\d{1,2}(?:\.\d{1,2})?)\s*mmol"
)
#: mg/dL in a mmol/L of glucose; no message reports a sugar above 40 mmol/L.
_MG = 18.0


def flag_vital_signs(sentence: MessageSentence) -> Iterator[Flag]:
    """Flag each value that reaches a limit and is the patient's and present."""
    for name, values, span in (v for read in _READERS for v in read(sentence.text)):
        if not sentence.counts([span], lasting=False):
            continue
        flag = _check_limits(name, values)
        if flag is not None:
            yield flag


def _check_limits(name: str, values: dict[str, float]) -> Flag | None:
    row: dict[str, Any] = load_table()["numbers"][name]
    for limit in row["limits"]:
        if any(value >= limit[measure] for measure, value in values.items()):
            return Flag(row["sign"], limit["label"], limit["why"], row["source"])
    return None


def _pressures(text: str) -> Iterator[tuple[str, dict[str, float], TextSpan]]:
    for m in (*_PRESSURE.finditer(text), *_PAIR.finditer(text)):
        systolic, diastolic = int(m[1]), int(m[2])
        if 70 <= systolic <= 280 and 35 <= diastolic <= 180 and diastolic < systolic:
            yield "blood_pressure", {"systolic": systolic, "diastolic": diastolic}, TextSpan(*m.span())
    for pattern, measure, least, most in (
        (_ALONE, "systolic", 90, 280),
        (_UPPER, "systolic", 70, 280),
        (_LOWER, "diastolic", 35, 180),
    ):
        for m in pattern.finditer(text):
            if least <= int(m[1]) <= most:
                yield "blood_pressure", {measure: int(m[1])}, TextSpan(*m.span())


def _temperatures(text: str) -> Iterator[tuple[str, dict[str, float], TextSpan]]:
    for m in _TEMPERATURE.finditer(text):
        value = float(m[1] or m[2])
        celsius = (value - 32) / 1.8 if value > 95 else value
        if 34 <= celsius <= 43:
            yield "temperature", {"celsius": round(celsius, 2)}, TextSpan(*m.span())


def _pulses(text: str) -> Iterator[tuple[str, dict[str, float], TextSpan]]:
    for m in _PULSE.finditer(text):
        beats = int(m[1] or m[2])
        if 30 <= beats <= 250 and not re.search(r"(?:baby|fetal|foetal|胎)", text[max(0, m.start() - 12) : m.end()]):
            yield "pulse", {"beats": beats}, TextSpan(*m.span())


def _saturations(text: str) -> Iterator[tuple[str, dict[str, float], TextSpan]]:
    for m in _SATURATION.finditer(text):
        if 50 <= int(m[1]) <= 99:
            yield "saturation", {"missing": 100 - int(m[1])}, TextSpan(*m.span())


def _sugars(text: str) -> Iterator[tuple[str, dict[str, float], TextSpan]]:
    for m in _SUGAR.finditer(text):
        reported = float(m[1] or m[2])
        value = reported / _MG if reported > 40 else reported
        if 1 <= value <= 40 and not re.search(
            r"week|周|grams?|min|hour|days?|小时|分钟|克", text[m.end() : m.end() + 8]
        ):
            yield "sugar", {"mmol": round(value, 1)}, TextSpan(*m.span())


_READERS = (_pressures, _temperatures, _pulses, _saturations, _sugars)
