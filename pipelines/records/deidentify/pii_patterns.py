"""Mask identifiers by pattern: addresses, phone, card and account numbers, dates, long numbers.

Where Presidio has a recogniser it is used. These are regular expressions; no language model is loaded. Importing
Presidio takes seconds, so it is imported only for a text in which it may find something.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from presidio_analyzer import RecognizerResult


class _Recognizer(Protocol):
    supported_entities: list[str]

    def analyze(self, text: str, entities: list[str]) -> list[RecognizerResult]: ...


NUMBER = re.compile(r"(?<!\d)\+?\(?\d[\d\s().\-/]{3,18}\d(?!\d)")

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DATE = re.compile(
    rf"\b\d{{1,2}}(?:st|nd|rd|th)?(?:\s+of)?[\s\-]+{_MONTH}\b\.?(?:,?[\s\-]+\d{{2,4}}\b)?"
    rf"|\b{_MONTH}\b\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}}\b)?"
    rf"|\b{_MONTH}\b\.?,?\s+\d{{4}}\b"
    r"|\d{4}\s*年\s*\d{1,2}\s*月(?:\s*\d{1,2}\s*[日号])?|\d{1,2}\s*月\s*\d{1,2}\s*[日号]"
    r"|(?<!\d)\d{4}-\d{2}-\d{2}(?:T[\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?(?!\d)"
    r"|(?<![\d/.\-])(?:\d{1,2}([/.\-])\d{1,2}\1(?:\d{4}|\d{2})|\d{4}([/.])\d{1,2}\2\d{1,2})(?![\d/])",
    re.I,
)
_LONG_NUMBER = re.compile(r"(?<![\d.])(?!\d*0000(?!\d))\d{7,}(?!\.?\d)")
#: Without a match of this no recogniser below can match (dates are masked before).
_POSSIBLE = re.compile(
    r"@|://|www\.|\b[a-z0-9\-]{2,}\.(?:[a-z]{2,3}|info|health|online)\b|(?:\d[\s().\-/]{0,3}){7}"
    r"|\b[a-z]{2}\d{2}[ a-z0-9]{8,}|[0-9a-f]{1,4}:[0-9a-f]{0,4}:|(?:\d{1,3}\.){3}\d|[0-9a-f]{8}-[0-9a-f]{4}",
    re.I,
)
_MASKS = {"DATE_TIME": "[date]", "EMAIL_ADDRESS": "[contact]", "PHONE_NUMBER": "[contact]", "URL": "[contact]"}


@lru_cache(maxsize=1 << 12)
def mask_patterns(text: str) -> str:
    """Replace everything that looks like an identifier by its kind."""
    text = _DATE.sub("[date]", text)
    if _POSSIBLE.search(text):
        text = _mask_with_presidio(text)
    return _LONG_NUMBER.sub("[number]", text)


def _mask_with_presidio(text: str) -> str:
    results = (
        result
        for recognizer in _load_recognizers()
        for result in recognizer.analyze(text, recognizer.supported_entities)
        if result.score >= 0.3
    )
    spans = sorted(((r.start, r.end, r.entity_type) for r in results), key=lambda s: (s[0], -s[1]))
    out, at = [], 0
    for start, end, kind in spans:
        if end <= at:
            continue
        out += [text[at : max(start, at)], _MASKS.get(kind, "[number]") if start >= at else ""]
        at = end
    return "".join((*out, text[at:]))


@lru_cache(maxsize=1)
def _load_recognizers() -> tuple[_Recognizer, ...]:
    from presidio_analyzer import PatternRecognizer
    from presidio_analyzer import predefined_recognizers as presidio

    return (
        # EmailRecognizer itself looks the domain up in a list that it fetches from the network.
        PatternRecognizer("EMAIL_ADDRESS", patterns=presidio.EmailRecognizer.PATTERNS),
        presidio.UrlRecognizer(),
        presidio.IpRecognizer(),
        presidio.IbanRecognizer(),
        presidio.CreditCardRecognizer(),
        presidio.UsSsnRecognizer(),
        presidio.PhoneRecognizer(),
        presidio.UuidRecognizer(),
        presidio.DateRecognizer(),
    )
