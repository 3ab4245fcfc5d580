"""Read times as the clinic's own, so that its day ends at its midnight.

The log's times are the clinic's wall time, written as if it were UTC: its days are the clinic's days. A clinic without
a time zone keeps UTC; a time that its own offset puts on the drop's day lies in that day's last minutes then, in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from pipelines.records.read.fhir_time import Micros, parse_time, to_datetime
from pipelines.records.read.raw_resource import Resource

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})", re.ASCII)
#: A value, not a time at which something happened: it stays as written.
_AS_WRITTEN = ("valueDateTime",)
_LAST_MINUTES = timedelta(minutes=10)
_WIDEST = timedelta(hours=14)  # no offset is wider


def convert_times(resource: Resource, zone: tzinfo) -> Resource:
    """The resource with every time in the clinic's wall time."""

    def convert(text: str) -> str:
        at = parse_time(text)
        if at is None:
            return text
        return to_datetime(at).astimezone(zone).replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")

    return _map_times(resource, convert)


def fold_times(resource: Resource, end: Micros) -> Resource:
    """The resource with times after the day's end, but written as of that day, in the day's last minutes."""
    last = to_datetime(end)

    def fold(text: str) -> str:
        at = parse_time(text)
        if at is None or at <= end or text[:10] > last.date().isoformat():
            return text
        share = (to_datetime(at) - last) / _WIDEST
        folded: datetime = last - _LAST_MINUTES * max(0.0, 1 - share)
        return folded.isoformat().replace("+00:00", "Z")

    return _map_times(resource, fold)


def _map_times(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {k: v if k in _AS_WRITTEN else _map_times(v, change) for k, v in value.items()}
    if isinstance(value, list):
        return [_map_times(v, change) for v in value]
    return change(value) if isinstance(value, str) and _INSTANT.fullmatch(value) else value
