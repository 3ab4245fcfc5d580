"""Find a count of the baby's movements below the target that the message itself states.

    flagged where the last count < the greatest target        "should get ten in two hours, got four"

A target is a number behind words like "should", "goal" or "at least"; a count one that was felt. Times are neither.
RCOG Green-top Guideline 57 and CDC ask to report fewer movements than usual; no guideline gives one number for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from models.safety.triage.red_flag_table import Flag

FLAG = Flag(
    "baby_movements",
    "emergency",
    "fewer movements of the baby than the count aims for",
    "CDC Hear Her; RCOG Green-top Guideline 57",
)
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_VALUES = {word: n for n, word in enumerate(_WORDS, 1)} | {c: n for n, c in enumerate("一二三四五六七八九十", 1)}
_VALUES |= {"两": 2, "zero": 0}
_ABOUT = re.compile(r"\bkick|\bmovement|\bfetal count|胎动|踢|数动")
_TARGET = re.compile(
    r"\b(?:target|goal|aim\w*|should|suppose[sd]?|meant|told|expect\w*|at least|minimum|need\w*|normal(?:ly)?|must"
    r"|usual(?:ly)?|used to|always|until i (?:get|reach)|(?:leaflet|nurse|midwife|app) (?:says|wants))\b[^,;]*$"
    r"|(?:要够|应该|应当|目标|要求|至少|平时|正常|标准|昨天|之前|要有|得有|要数到|不少于)[^，,；;]*$"
)
_NUMBER = re.compile(
    rf"(?<![\d.:/])(?:\d{{1,3}}|\b(?:{'|'.join(_WORDS)}|zero)\b|[一二两三四五六七八九十])(?![\d.:/]|十)"
)
#: What follows a number that is a time, a week, a list's mark or an amount of something else.
_OTHER = re.compile(
    r"\s*(?:-|to )?\s*\d*\s*(?:hours?|hrs?|h\b|minutes?|mins?|min\b|days?|weeks?|wks?|months?|years?|nights?"
    r"|am\b|pm\b|o'? ?clock|%|st\b|nd\b|rd\b|th\b|\)|times? (?:a|per) day|more days?|glass\w*|cups?|of us"
    r"|baby|babies|side)"
    r"|\s*(?:个?多?半?小时|分钟|天|周|月|点|号|岁|杯|楼|胎)"
)
_BEFORE_OTHER = re.compile(r"(?:week|weeks|day|since|after|by|before|around|within|per|every|at) $|(?:孕|第|每|过了)$")
_COUNTED = re.compile(
    r"\b(?:got|get|getting|only|just|reached|count(?:s|er|ed)?|felt|feel|had|have|at|total|tally|says|far|today"
    r"|tonight|did|done|made|managed|been|is|was|were|now|evening|morning|afternoon|stuck|up to|go|and|then|he|she)"
    r"[,:]? (?:\w+ ){0,2}$"
    r"|(?:才|只有|只|就|仅|数了|数到|今天|一共|总共|感觉到|动了|刚|乘4|小时)[^，,；;]{0,4}$"
)
_BELOW_TARGET = re.compile(r"\bonly |\bgot |\bjust |才|只")


def flag_kick_counts(sentences: list[str]) -> Iterator[Flag]:
    """Flag a message whose last count is below its target."""
    if not any(_ABOUT.search(s) for s in sentences):
        return
    targets: list[int] = []
    counts: list[int] = []
    for sentence in sentences:
        for number in _NUMBER.finditer(sentence):
            before, after = sentence[: number.start()], sentence[number.end() :]
            if _OTHER.match(after) or _BEFORE_OTHER.search(before[-12:]):
                continue
            value = int(number.group()) if number.group().isdigit() else _VALUES[number.group()]
            if _TARGET.search(before[-45:]) and not _BELOW_TARGET.search(before[-12:]):
                targets.append(value)
            elif _COUNTED.search(before[-30:]) or re.match(r"\s*(?:kicks?|movements?|次)", after) or not before.strip():
                counts.append(value)
    if targets and counts and counts[-1] < max(targets):
        yield FLAG
