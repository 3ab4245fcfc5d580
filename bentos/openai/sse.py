"""Server-sent events: a language model's stream as JSON objects, and objects as the stream we send."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

from bentos.openai.errors import UpstreamError

DONE = b"data: [DONE]\n\n"
LONGEST_EVENT = 1024 * 1024  # bytes
_BETWEEN = re.compile(rb"\r\n\r\n|\n\n|\r\r")


async def parsed(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The events until ``[DONE]``.

    :class:`UpstreamError`: ``truncated`` where the stream ends without it, ``malformed`` where an event is no JSON
    object of a chat stream, ``failed`` where the model reports an error of its own.
    """
    held = b""
    async for chunk in chunks:
        held += chunk
        *whole, held = _BETWEEN.split(held)
        if len(held) > LONGEST_EVENT:
            raise UpstreamError("malformed")
        for event in whole:
            data = _data(event)
            if data == b"[DONE]":
                return
            if data is not None:
                yield _object(data)
    raise UpstreamError("truncated" if not held.strip() or held.lstrip().startswith(b"data:") else "malformed")


def _data(event: bytes) -> bytes | None:
    """The event's data; None for a comment or an event without any."""
    found = []
    for line in event.splitlines():
        name, colon, value = line.partition(b":")
        if name == b"data" and colon:
            found.append(value.removeprefix(b" "))
        elif name.strip() and name not in (b"event", b"id", b"retry"):
            raise UpstreamError("malformed")
    return b"\n".join(found).strip() if found else None


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data, parse_constant=no_number)
    except (ValueError, RecursionError):
        raise UpstreamError("malformed") from None
    if isinstance(value, dict) and value.get("error"):
        raise UpstreamError("failed")
    if not isinstance(value, dict) or not isinstance(value.get("choices"), list):
        raise UpstreamError("malformed")
    return value


def event(value: dict[str, Any]) -> bytes:
    """One event."""
    return b"data: " + encoded(value) + b"\n\n"


def encoded(value: dict[str, Any]) -> bytes:
    """JSON in UTF-8; half a surrogate pair, which a model may cut a character into, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def no_number(name: str) -> Any:
    """For ``json.loads``: NaN and Infinity are no JSON."""
    raise ValueError(name)
