"""Calls of tools in an answer: allowed members, assembled from a stream, and texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bentos.llm.errors import UpstreamError

MOST_TOOL_CALLS = 64
#: Characters that the fragments of one answer's calls may have together.
LONGEST = 64 * 1024
#: One short word: an id, a name of a version.
WORD = re.compile(r"[\w.:-]{1,64}", re.ASCII)


@dataclass(slots=True)
class ToolCallFragments:
    """The calls of one streamed choice, which are shown once they are whole; ``parts`` by index."""

    parts: dict[int, dict[str, Any]] = field(default_factory=dict)
    size: int = 0

    def add(self, deltas: Any) -> None:
        """Add what a chunk holds; :class:`UpstreamError` for what is none or grows too long."""
        if deltas is None:
            return
        if not isinstance(deltas, list):
            raise UpstreamError("malformed")
        for place, delta in enumerate(deltas):
            function = (delta.get("function") or {}) if isinstance(delta, dict) else None
            if not isinstance(function, dict):
                raise UpstreamError("malformed")
            index = delta.get("index", place)
            if type(index) is not int or not 0 <= index < MOST_TOOL_CALLS:
                raise UpstreamError("malformed")
            call = self.parts.setdefault(index, {"id": None, "function": {"name": "", "arguments": ""}})
            call["id"] = call["id"] or delta.get("id")
            for name in ("name", "arguments"):
                text = function.get(name) or ""
                if not isinstance(text, str):
                    raise UpstreamError("malformed")
                call["function"][name] += text
                self.size += len(text)
        if self.size > LONGEST:
            raise UpstreamError("truncated")

    def build(self) -> list[dict[str, Any]]:
        """The whole calls, in order."""
        return select_tool_calls([call for _, call in sorted(self.parts.items())])


def select_tool_calls(calls: Any) -> list[dict[str, Any]]:
    """The calls with their allowed members; :class:`UpstreamError` ``malformed`` for what is none."""
    if not isinstance(calls, list) or len(calls) > MOST_TOOL_CALLS:
        raise UpstreamError("malformed")
    return [_select_call(number, call) for number, call in enumerate(calls)]


def _select_call(number: int, call: Any) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    name, arguments = (function.get("name"), function.get("arguments")) if isinstance(function, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(arguments, (str, type(None))):
        raise UpstreamError("malformed")
    named = call.get("id")
    id_ = named if isinstance(named, str) and WORD.fullmatch(named) else f"call_{number}"
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments or "{}"}}


def read_arguments(raw: str) -> list[str]:
    """The names and texts in a call's arguments."""
    try:
        return list(_walk_texts(json.loads(raw, object_pairs_hook=_list_pairs)))
    except (ValueError, RecursionError):  # cut off: read as it stands
        return [raw]


def _list_pairs(pairs: list[tuple[str, Any]]) -> list[Any]:
    """An object's names and values; of a name that comes twice, both."""
    return [item for name, value in pairs for item in (name.replace("_", " "), value)]


def _walk_texts(value: Any) -> Iterator[str]:
    """The texts of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _walk_texts(inner)
