"""What the reader hands on: one resource of a drop, or the reason why it could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

Resource = dict[str, Any]


class ResourceError(Exception):
    """A resource fails a rule; ``reason`` names the field, never its value."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(rule, reason)
        self.rule = rule
        self.reason = reason


@dataclass(slots=True)
class RawResource:
    """One resource read from ``file`` (relative to the drop) at ``number`` (1-based line).

    ``entry`` is the 1-based position within a Bundle or JSON array, 0 for a plain NDJSON line. ``raw`` is the
    line as read, empty for a Bundle's entry and for what was too long to hold. Exactly one of ``resource`` and
    ``broken`` is set. ``deleted`` marks a Bundle entry that asks for the resource's deletion. A line that comes
    back from quarantine carries its ``row`` there and the end of the day it came with (``since``, microseconds).
    """

    file: str
    number: int
    raw: bytes
    resource: Resource | None = None
    broken: ResourceError | None = None
    entry: int = 0
    deleted: bool = False
    row: str = ""
    since: int = 0

    @property
    def text(self) -> bytes:
        """The raw text of the resource, for the quarantine alone."""
        return self.raw if self.raw or self.resource is None else orjson.dumps(self.resource)

    def let_go(self) -> None:
        """Hold the text alone: parsed resources are large."""
        self.raw, self.resource = self.text, None
