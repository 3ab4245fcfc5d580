"""Parse what a language model sends: a whole completion or a stream."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

from bentos.llm.errors import UpstreamError
from bentos.llm.model_names import read_model_name

LONGEST_EVENT = 1024 * 1024  # bytes
#: An empty line, whatever ends the lines: two ends in a row.
_BETWEEN = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_BOM = b"\xef\xbb\xbf"


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
    """The events of a stream until ``[DONE]``, read as HTML's standard for server-sent events says.

    :class:`UpstreamError`: ``truncated`` where the stream ends without it, ``malformed`` where an event is no JSON
    object of a chat stream or there is none at all, ``failed`` where the model reports an error of its own.
    """
    pending, searched, begun, is_stream = bytearray(), 0, False, True
    async for chunk in chunks:
        pending += chunk
        if not begun and len(pending) >= len(_BOM):  # it may have come byte by byte
            begun = True
            if pending.startswith(_BOM):
                del pending[: len(_BOM)]
        start = 0
        while between := _BETWEEN.search(pending, max(start, searched)):
            event = bytes(pending[start : between.start()])
            start = between.end()
            data = _event_data(event)
            if data == b"[DONE]":
                return
            is_stream = bool(data) or (is_stream and _is_comment(event))
            if data:
                yield _parse_chunk(data)
        del pending[:start]
        searched = max(0, len(pending) - 3)  # what separates events may have come in part
        if len(pending) > LONGEST_EVENT:
            raise UpstreamError("malformed")
    whole = is_stream and (_is_comment(bytes(pending)) or pending.lstrip().startswith(b"data:"))
    raise UpstreamError("truncated" if whole else "malformed")


def _event_data(event: bytes) -> bytes:
    """The event's data, empty where it has none. Comments and fields that are unknown to us are passed over."""
    fields = (line.partition(b":") for line in event.splitlines())
    return b"\n".join(value.removeprefix(b" ") for name, _, value in fields if name == b"data").strip()


def _is_comment(event: bytes) -> bool:
    """Whether an event says nothing, as those do that keep a connection open."""
    return all(not line.strip() or line.startswith(b":") for line in event.splitlines())


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
