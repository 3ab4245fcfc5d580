"""Find keys that an object of a JSON text has twice.

Which of the values counts is not said anywhere: parsers differ.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_KEY_END = b'":'
_SPACED = (b'" ', b'"\t', b'"\n', b'"\r')  # a colon may follow: such a text cannot be judged by counting
_SHOWN = re.compile(r"[A-Za-z_]{1,40}")


class _RepeatedKeyError(Exception):
    """Raised with the key that an object has twice."""


def find_repeated_key(data: bytes, value: Any) -> str | None:
    """The first key that an object has twice, or None; ``value`` is what orjson read from ``data``.

    A value that lost no key has as many as its text. Only where the counts differ is the text read again, slowly.
    """
    spaced = any(map(data.__contains__, _SPACED))
    if not spaced and data.count(_KEY_END) == orjson.dumps(value).count(_KEY_END):
        return None
    try:
        json.loads(data, object_pairs_hook=_check_pairs)
    except _RepeatedKeyError as error:
        key = str(error.args[0])
        return key if _SHOWN.fullmatch(key) else "a key"
    except (RecursionError, ValueError):
        return "a key"
    return None


def _check_pairs(pairs: list[tuple[str, Any]]) -> None:
    seen = set[str]()
    for key, _ in pairs:
        if key in seen:
            raise _RepeatedKeyError(key)
        seen.add(key)
