"""The sample clinic's dates: one day of history, then the nights after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

#: Portal conversations are spread over this long before the first drop.
PORTAL_DAYS = 548


def moment(day: date, hour: int = 0, minute: int = 0) -> datetime:
    """A UTC moment on ``day``."""
    return datetime.combine(day, time(hour, minute), UTC)


@dataclass(frozen=True, slots=True)
class Calendar:
    """``history`` is the first drop's day (the clinic's whole past); ``nights`` drops follow, one a day."""

    history: date = date(2026, 6, 1)
    nights: int = 5

    @property
    def drops(self) -> tuple[date, ...]:
        return tuple(self.history + timedelta(days=n) for n in range(self.nights + 1))

    @property
    def last(self) -> date:
        return self.drops[-1]

    @property
    def portal_opens(self) -> date:
        return self.history - timedelta(days=PORTAL_DAYS)

    def drop_of(self, happened: datetime) -> date:
        """The drop of the night on which something happened: the first drop for all of the past."""
        return max(self.history, happened.astimezone(UTC).date())
