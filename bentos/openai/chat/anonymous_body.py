"""Take a patient's reference out of a request's strings, in linear time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

ANONYMOUS = "this-patient"
_SLASH, _COLON = r"(?:/|%(?:25)*2F)", r"(?::|%(?:25)*3A)"
#: What may stand before ``Patient/`` in an address.
_ADDRESS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:/.-%~")
#: No letter or digit comes before, unless it is of an escape (``\\n``) in a text that is JSON itself.
_BEGINS = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt]))"
_ENDS = r"(?![A-Za-z0-9])"


def anonymize(value: Any, reference: str) -> Any:
    """A JSON value with ``this-patient`` for every form of the reference, in keys too."""
    bare = re.split(rf"{_SLASH}|urn:uuid:|subject:", reference, flags=re.IGNORECASE)[-1]
    if not bare:
        return value
    pattern = _compile_forms(bare)
    return _replace_strings(value, lambda text: _take_out(text, pattern))


def _compile_forms(bare: str) -> re.Pattern[str]:
    """Every form of an id, in either case; the bare id only if it is no ordinary word."""
    escaped = re.escape(bare)
    forms = [rf"(?P<address>Patient{_SLASH}){escaped}", rf"{_BEGINS}(?:urn{_COLON}uuid|subject){_COLON}{escaped}"]
    if len(bare) >= 4 and any(c.isdigit() for c in bare):
        forms.append(f"{_BEGINS}{escaped}")
    return re.compile(rf"(?:{'|'.join(forms)}){_ENDS}", re.IGNORECASE)


def _take_out(text: str, pattern: re.Pattern[str]) -> str:
    """The text without the reference, and without the address that an id stands in."""
    parts, done = [], 0
    for match in pattern.finditer(text):
        start = match.start()
        if match["address"]:
            while start > done and text[start - 1] in _ADDRESS:
                start -= 1
            if start > done and text[start - 1] == "\\":  # of an escape
                start += 1
        parts += [text[done:start], ANONYMOUS]
        done = match.end()
    return "".join([*parts, text[done:]]) if parts else text


def _replace_strings(value: Any, replace: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, list):
        return [_replace_strings(item, replace) for item in value]
    if isinstance(value, dict):
        return {replace(name): _replace_strings(item, replace) for name, item in value.items()}
    return value
