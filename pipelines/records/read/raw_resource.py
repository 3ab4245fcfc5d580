"""One resource as read from a drop, or the error that reading it raised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

Resource = dict[str, Any]
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ResourceError(Exception):
    """A resource breaks a rule; ``reason`` names the field, never its value."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(rule, reason)
        self.rule = rule
        self.reason = reason


@dataclass(slots=True)
class RawResource:
    """One resource read from ``file`` (relative to the drop), which begins on ``line`` (1-based).

    ``data`` is the line as read, empty for a Bundle's entry and for what was too long to read. ``entry`` is the
    1-based position within a Bundle or JSON array, 0 for a plain NDJSON line. Exactly one of ``resource`` and
    ``error`` is set. ``deleted`` marks a Bundle entry that asks for the resource's deletion. A resource from
    quarantine carries the id of its ``row`` there and the end of the day of its own drop (``since``, microseconds).
    """

    file: str
    line: int
    data: bytes
    resource: Resource | None = None
    error: ResourceError | None = None
    entry: int = 0
    deleted: bool = False
    row: str = ""
    since: int = 0

    @property
    def text(self) -> bytes:
        """The raw text of the resource, for the quarantine alone."""
        return self.data if self.data or self.resource is None else orjson.dumps(self.resource)

    def discard_parsed(self) -> None:
        """Keep the text only: parsed resources are large."""
        self.data, self.resource = self.text, None


def parse_json(data: bytes | None) -> Any:
    """The JSON value of a text, or None where it is none."""
    try:
        return None if data is None else orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
