"""Parse what a language model sends: a whole completion or a stream."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

from bentos.llm.errors import UpstreamError
from bentos.llm.model_names import read_model_name

LONGEST_EVENT = 1024 * 1024  # bytes
_BETWEEN = re.compile(rb"\r\n\r\n|\n\n|\r\r")


def parse_completion(raw: bytes) -> dict[str, Any]:
    """A completion with at least one whole choice.

    :class:`UpstreamError` ``malformed``, ``truncated`` (no reason to have ended) or ``empty``.
    """
    value = _parse_json(raw)
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or not choices:
        raise UpstreamError("malformed")
    for choice in choices:
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict) or not isinstance(message.get("content"), (str, type(None))):
            raise UpstreamError("malformed")
        if not isinstance(choice.get("finish_reason"), str):
            raise UpstreamError("truncated")
        says_nothing = not (message.get("content") or "").strip() and not calls_tools(message)
        if says_nothing and choice["finish_reason"] not in ("length", "content_filter"):
            raise UpstreamError("empty")
    return value | {"model": read_model_name(value.get("model"))}


def calls_tools(message: dict[str, Any]) -> bool:
    """Whether a message asks the application to run something."""
    return bool(message.get("tool_calls"))


async def parse_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream until ``[DONE]``.

    :class:`UpstreamError`: ``truncated`` where the stream ends without it, ``malformed`` where an event is no JSON
    object of a chat stream, ``failed`` where the model reports an error of its own.
    """
    pending, searched = bytearray(), 0
    async for chunk in chunks:
        pending += chunk
        start = 0
        while between := _BETWEEN.search(pending, max(start, searched)):
            data = _event_data(bytes(pending[start : between.start()]))
            start = between.end()
            if data == b"[DONE]":
                return
            if data is not None:
                yield _parse_chunk(data)
        del pending[:start]
        searched = max(0, len(pending) - 3)  # what separates events may have come in part
        if len(pending) > LONGEST_EVENT:
            raise UpstreamError("malformed")
    raise UpstreamError("truncated" if not pending.strip() or pending.lstrip().startswith(b"data:") else "malformed")


def _event_data(event: bytes) -> bytes | None:
    """The event's data; None for a comment or an event without any."""
    lines = []
    for line in event.splitlines():
        name, colon, value = line.partition(b":")
        if name == b"data" and colon:
            lines.append(value.removeprefix(b" "))
        elif name.strip() and name not in (b"event", b"id", b"retry"):
            raise UpstreamError("malformed")
    return b"\n".join(lines).strip() if lines else None


def _parse_chunk(data: bytes) -> dict[str, Any]:
    value = _parse_json(data)
    if isinstance(value, dict) and value.get("error"):
        raise UpstreamError("failed")
    if not isinstance(value, dict) or not isinstance(value.get("choices"), list):
        raise UpstreamError("malformed")
    return value | {"model": read_model_name(value.get("model"))}


def _parse_json(raw: bytes) -> Any:
    try:
        return json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise UpstreamError("malformed") from None


def _refuse_constant(name: str) -> Any:
    """NaN and Infinity are no JSON."""
    raise ValueError(name)
