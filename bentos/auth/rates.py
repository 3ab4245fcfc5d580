"""How often a client may ask: a sliding window a client, and one an address for what shows no valid token.

Counted in the clinic's Redis where it has one, over all workers and machines; else, and while that Redis is silent, in
the worker's own memory, where ``n`` workers admit at most ``n`` times a limit.
"""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, parse_many
from limits.aio.strategies import SlidingWindowCounterRateLimiter as SharedWindows
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from limits.util import WindowStats

from bentos.auth.shared_counts import SharedCounts, SilentError
from pmlm.errors import SettingsError
from pmlm.settings import Settings

#: Refusals an address may collect before it is no longer listened to; they cost a signature check and a line each.
REFUSED = "60/minute"


class Rates:
    """The windows of one clinic. Every method may ask Redis and none raises because of it."""

    def __init__(self, settings: Settings, shared: SharedCounts | None = None) -> None:
        try:
            self._asked = parse_many(settings.rate_limit)
        except ValueError as error:
            raise SettingsError(f"PMLM_RATE_LIMIT: {settings.rate_limit!r} is no rate; write 6000/minute") from error
        self._refused = parse_many(REFUSED)
        self._settings = settings
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = shared

    async def ask(self, client: str) -> int | None:
        """Count one request of a client; the seconds to wait where it had too many, else None."""
        for one in self._asked:
            if not await self._hit(one, "client", client):
                return await self._wait(one, "client", client)
        return None

    async def refuse(self, address: str) -> None:
        """Count one refusal of an address."""
        for one in self._refused:
            await self._hit(one, "address", address)

    async def shut_out(self, address: str) -> int | None:
        """The seconds for which an address is not listened to, after too many refusals; else None."""
        for one in self._refused:
            if (await self._stats(one, "address", address)).remaining < 1:
                return await self._wait(one, "address", address)
        return None

    async def _hit(self, one: RateLimitItem, kind: str, name: str) -> bool:
        if self._shared is not None:
            hashed = self._hashed(kind, name)

            async def counted(windows: SharedWindows) -> bool:
                return await windows.hit(one, kind, hashed)

            try:
                return await self._shared.windows(counted)
            except SilentError:
                pass
        return self._own.hit(one, kind, name)

    async def _stats(self, one: RateLimitItem, kind: str, name: str) -> WindowStats:
        if self._shared is not None:
            hashed = self._hashed(kind, name)

            async def told(windows: SharedWindows) -> WindowStats:
                return await windows.get_window_stats(one, kind, hashed)

            try:
                return await self._shared.windows(told)
            except SilentError:
                pass
        return self._own.get_window_stats(one, kind, name)

    async def _wait(self, one: RateLimitItem, kind: str, name: str) -> int:
        return max(1, math.ceil((await self._stats(one, kind, name)).reset_time - time.time()))

    def _hashed(self, kind: str, name: str) -> str:
        return str(self._settings.pseudonym("rate", kind, name))
