"""The sample clinic's dates: the first drop with the history, then nightly drops."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

#: Portal conversations are spread over this long before the first drop.
PORTAL_DAYS = 548


def moment(day: date, hour: int = 0, minute: int = 0) -> datetime:
    """A UTC time on ``day``."""
    return datetime.combine(day, time(hour, minute), UTC)


@dataclass(frozen=True, slots=True)
class Calendar:
    """One drop with the clinic's past on the day ``history``, then ``nights`` daily drops."""

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
        """The drop of the day on which something happened, at the earliest the first."""
        return max(self.history, happened.astimezone(UTC).date())
