"""Parse night ids (``YYYYMMDD``), and the last second of a night's day (UTC)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time


def parse_night(night: str) -> date:
    """The day of a night id (``20260601``)."""
    return datetime.strptime(night, "%Y%m%d").date()


def end_of_day(day: date) -> datetime:
    """The last second of a day, when that day's drop becomes known."""
    return datetime.combine(day, time(23, 59, 59), UTC)


def end_of_night(night: str) -> datetime:
    """The last second of a night's day: when its drop becomes known."""
    return end_of_day(parse_night(night))
