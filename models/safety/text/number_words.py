"""Replace numbers written as words by digits, in English and Chinese.

"A hundred and seventy over one ten" reads as 170 over 110. Only numbers from 30 on are replaced: no sign of the table
needs a smaller one, and "one side", "ten minutes" must stay words.
"""

from __future__ import annotations

import re

LEAST = 30
#: No reading is above; a message of a thousand hundreds is none.
_MOST = 100_000

_UNITS = {
    w: i
    for i, w in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS = {
    w: 10 * i for i, w in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_WORD = "|".join(sorted((*_UNITS, *_TENS, "hundred"), key=len, reverse=True))
_RUN = re.compile(rf"\b(?:a (?=hundred))?(?:{_WORD}|oh(?= (?:{_WORD})))(?:[ -]+(?:and +)?(?:{_WORD}|oh|point))*\b")
_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_HAN = re.compile(r"[零〇一二两三四五六七八九十百]{2,}(?:[点度][零〇一二三四五六七八九])?")
_DEGREES = re.compile(r"(\d{2})度([0-9])(?!\d)")


def convert_number_words(text: str) -> str:
    """``text`` (normalised) with its numbers in English or Chinese words, from ``LEAST`` on, in digits."""
    text = _RUN.sub(lambda m: _replace_number(m.group(), _parse_english(m.group())), text)
    text = _HAN.sub(lambda m: _replace_number(m.group(), _parse_chinese(m.group())), text)
    return _DEGREES.sub(r"\1.\2度", text)


def _replace_number(written: str, value: float | None) -> str:
    return written if value is None or value < LEAST else f"{value:g}" + ("度" if "度" in written else "")


def _parse_english(run: str) -> float | None:
    """One hundred and twelve, one sixty five, thirty eight point six; None for no number."""
    whole, _, decimals = run.replace("-", " ").partition(" point ")
    value, last = 0, 1000
    for word in whole.split():
        if value > _MOST:
            return None
        if word == "hundred":
            value, last = (value or 1) * 100, 100
        elif word in _TENS or word in _UNITS:
            part = _TENS.get(word, _UNITS.get(word, 0))
            if 0 < value < 10 and part >= 10:  # "one sixty": hundreds left unsaid
                value *= 100
            elif last <= 19 or part >= last:
                return None
            value, last = value + part, part
        elif word == "oh" and 0 < value < 10:
            value, last = value * 100, 100
    tail = [str(_UNITS[w]) for w in decimals.split() if _UNITS.get(w, 10) < 10]
    return float(f"{value}.{''.join(tail)}") if tail else float(value)


def _parse_chinese(run: str) -> float | None:
    """一百六十八, 一百一 (110), 三十八度七 (38.7); None without tens or hundreds."""
    whole, decimal = re.match(r"([^点度]+)(?:[点度](.))?", run).groups()  # type: ignore[union-attr]
    if not re.search("[十百]", whole):
        return None
    hundreds, _, rest = whole.rpartition("百")
    value = 100 * _DIGITS.get(hundreds, 1) if "百" in whole else 0
    tens, ten, units = rest.rpartition("十")
    if ten:
        value += 10 * _DIGITS.get(tens.strip("零〇"), 1) + _DIGITS.get(units, 0)
    elif rest:
        value += _DIGITS.get(rest[-1], 0) * (1 if rest[0] in "零〇" else 10)  # 一百一 is 110, 一百零一 101
    return value + _DIGITS[decimal] / 10 if decimal else float(value)
