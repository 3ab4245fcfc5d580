"""Rate limits: a sliding window per client, and one per address for invalid tokens.

Counted in the clinic's Redis where it has one, over all workers and machines; else, and while that Redis is silent,
in a file that the workers of this machine share (``auth.counting.disk_windows``). Only while that cannot be written
either does a worker count for itself, so that ``n`` workers admit at most ``n`` times a limit.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from limits import RateLimitItem, parse_many
from limits.aio.strategies import SlidingWindowCounterRateLimiter as SharedWindows
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from limits.util import WindowStats

from bentos.auth.counting.disk_windows import DiskWindows
from bentos.auth.counting.shared_counts import RESTS_S, SharedCounts, SilentError
from pmlm.errors import SettingsError
from pmlm.settings import Settings

#: Refusals an address may collect before it is blocked; each costs a signature check and a line.
REFUSED = "60/minute"

T = TypeVar("T")

log = logging.getLogger(__name__)


class RateLimits:
    """The windows of one clinic. Methods may ask Redis, and none raises because of it."""

    def __init__(self, settings: Settings, shared: SharedCounts | None = None) -> None:
        try:
            self._asked = parse_many(settings.rate_limit)
        except ValueError as error:
            raise SettingsError(f"PMLM_RATE_LIMIT: {settings.rate_limit!r} is no rate; write 6000/minute") from error
        self._refused = parse_many(REFUSED)
        self._settings = settings
        self._disk = SlidingWindowCounterRateLimiter(DiskWindows(settings))
        self._disk_failed_at = float("-inf")
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = shared

    async def count_request(self, client: str) -> int | None:
        """Count a client's request; the seconds to wait if it has too many, else None."""
        for one in self._asked:
            if not await self._hit(one, "client", client):
                return await self._wait(one, "client", client)
        return None

    async def count_refusal(self, address: str) -> None:
        """Count one refusal of an address."""
        for one in self._refused:
            await self._hit(one, "address", address)

    async def block_remaining(self, address: str) -> int | None:
        """The seconds for which an address is blocked after too many refusals; else None."""
        for one in self._refused:
            if (await self._stats(one, "address", address)).remaining < 1:
                return await self._wait(one, "address", address)
        return None

    async def _hit(self, one: RateLimitItem, kind: str, name: str) -> bool:
        if self._shared is not None:
            hashed = self._hash(kind, name)

            async def hit(windows: SharedWindows) -> bool:
                return await windows.hit(one, kind, hashed)

            try:
                return await self._shared.windows(hit)
            except SilentError:
                pass
        return self._count_here(lambda windows: windows.hit(one, kind, name))

    async def _stats(self, one: RateLimitItem, kind: str, name: str) -> WindowStats:
        if self._shared is not None:
            hashed = self._hash(kind, name)

            async def read(windows: SharedWindows) -> WindowStats:
                return await windows.get_window_stats(one, kind, hashed)

            try:
                return await self._shared.windows(read)
            except SilentError:
                pass
        return self._count_here(lambda windows: windows.get_window_stats(one, kind, name))

    def _count_here(self, count: Callable[[SlidingWindowCounterRateLimiter], T]) -> T:
        """Run ``count`` on the windows of this machine, or on this worker's own while the file fails."""
        if time.monotonic() - self._disk_failed_at > RESTS_S:
            try:
                return count(self._disk)
            except (OSError, sqlite3.Error) as error:  # no request may fail because of a count
                self._disk_failed_at = time.monotonic()
                log.warning("rates.db cannot be written, so this worker counts for itself", exc_info=error)
        return count(self._own)

    async def _wait(self, one: RateLimitItem, kind: str, name: str) -> int:
        return max(1, math.ceil((await self._stats(one, kind, name)).reset_time - time.time()))

    def _hash(self, kind: str, name: str) -> str:
        return str(self._settings.pseudonym("rate", kind, name))
