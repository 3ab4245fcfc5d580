"""Night ids (``YYYYMMDD``), the end of a night's day (UTC), the night of a time."""

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


def find_night(moment: datetime) -> str:
    """The first night by whose end a time has come, to the second."""
    return moment.astimezone(UTC).strftime("%Y%m%d")
