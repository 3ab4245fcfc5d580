"""FHIR dates and times as microseconds since 1970 (UTC); partial dates count from their start."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from pipelines.records.read.raw_resource import Resource

Micros = int

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE = timedelta(microseconds=1)
_FHIR = re.compile(
    r"\d{4}(?:-\d{2}(?:-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})?)?)?)?", re.ASCII
)
_PADDING = {4: "-01-01", 7: "-01"}
MICROS_PER_DAY: Micros = 86_400_000_000


@lru_cache(maxsize=1 << 14)
def parse_time(text: str) -> Micros | None:
    """The start of a FHIR date or dateTime (UTC without a zone), or None."""
    if not _FHIR.fullmatch(text):
        return None
    try:
        parsed = datetime.fromisoformat(text + _PADDING.get(len(text), ""))
    except ValueError:
        return None
    return to_micros(parsed.replace(tzinfo=parsed.tzinfo or UTC))


@lru_cache(maxsize=1 << 14)
def parse_latest_time(text: str) -> Micros | None:
    """The latest time that a possibly partial FHIR date can mean, or None."""
    start = parse_time(text)
    if start is None or len(text) > len("2024-05-10"):
        return start
    days = {4: 366, 7: 31}.get(len(text), 1)
    return start + days * MICROS_PER_DAY - 1


def read_time(resource: Resource, *names: str) -> Micros | None:
    """The first of some dateTime or Period fields, by its start, else its end."""
    for name in names:
        value = resource.get(name)
        if isinstance(value, str):
            return parse_time(value)
        if isinstance(value, dict) and ("start" in value or "end" in value):
            return parse_time(value.get("start") or value["end"])
    return None


def read_period_end(resource: Resource, name: str) -> Micros | None:
    """The end of a Period field, or None."""
    value = resource.get(name)
    return parse_time(value["end"]) if value and "end" in value else None


def read_latest_end(resource: Resource, *names: str) -> Micros | None:
    """The latest time that the first dateTime or Period's end can mean.

    A start after it is an error; a partial date counts to its last microsecond.
    """
    for name in names:
        value = resource.get(name)
        text = value.get("end") if isinstance(value, dict) else value
        if text is not None:
            return parse_latest_time(text)
    return None


def choose_latest(*times: Micros | None) -> Micros | None:
    """The latest of the known times, or None: nothing is known before it has happened."""
    return max((t for t in times if t is not None), default=None)


def to_micros(at: datetime) -> Micros:
    """Microseconds since 1970 of an aware ``datetime``."""
    return (at - _EPOCH) // _ONE


def to_datetime(at: Micros) -> datetime:
    """The time as an aware ``datetime`` in UTC."""
    return _EPOCH + at * _ONE
