"""How often a client may ask: a sliding window a client, and one an address for what shows no valid token."""

from __future__ import annotations

import math
import time

from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from pipelines.errors import SettingsError
from pipelines.settings import Settings

#: Refusals an address may collect before it is no longer listened to; they cost a signature check and a line each.
REFUSED = "60/minute"


class Rates:
    """Counts in this process's memory: a worker counts for itself, so ``n`` of them admit at most ``n`` times a limit.

    The service runs one worker; whoever runs more, or several machines behind one address, divides the limit by them.
    """

    def __init__(self, settings: Settings) -> None:
        try:
            self._asked = parse_many(settings.rate_limit)
        except ValueError as error:
            raise SettingsError(f"PMLM_RATE_LIMIT: {settings.rate_limit!r} is no rate; write 6000/minute") from error
        self._refused = parse_many(REFUSED)
        self._window = SlidingWindowCounterRateLimiter(MemoryStorage())

    def ask(self, client: str) -> int | None:
        """Count one request of a client; the seconds to wait where it had too many, else None."""
        return next(
            (self._wait(one, client) for one in self._asked if not self._window.hit(one, "client", client)), None
        )

    def refuse(self, address: str) -> None:
        """Count one refusal of an address."""
        for one in self._refused:
            self._window.hit(one, "address", address)

    def shut_out(self, address: str) -> int | None:
        """The seconds for which an address is not listened to, after too many refusals; else None."""
        full = (one for one in self._refused if not self._window.test(one, "address", address))
        return next((self._wait(one, address, "address") for one in full), None)

    def _wait(self, one: object, name: str, kind: str = "client") -> int:
        stats = self._window.get_window_stats(one, kind, name)  # type: ignore[arg-type]
        return max(1, math.ceil(stats.reset_time - time.time()))
