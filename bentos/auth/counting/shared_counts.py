"""Counts that all workers of a clinic share through its Redis: rates, used tokens.

A Redis that is stopped or silent costs one request at most ``PATIENCE_S``; for ``RESTS_S`` after that nobody asks it,
and every worker counts for itself. Keys hold keyed hashes, so the server learns of no client, address or token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from pmlm.settings import Settings

T = TypeVar("T")

PATIENCE_S = 0.25
RESTS_S = 2.0
_REDIS = ("redis", "rediss")


class SilentError(Exception):
    """Redis did not answer, or is not asked because it did not just now."""


class SharedCounts:
    """The clinic's counts in Redis, asked on one event loop at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._silent_at = float("-inf")
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def of(cls, settings: Settings) -> SharedCounts | None:
        """The counts that the clinic's workers share; None where its online store is no Redis."""
        return cls(settings) if urlsplit(settings.online_store).scheme in _REDIS else None

    async def windows(self, count: Callable[[SlidingWindowCounterRateLimiter], Awaitable[T]]) -> T:
        """Run ``count`` on the shared windows; raises :class:`SilentError`."""
        return await self._ask(lambda: count(self._windows))

    async def first_use(self, name: str, seconds: int) -> bool:
        """Whether ``name`` was not used within the last ``seconds``; raises :class:`SilentError`."""
        key = f"{self._prefix}:used:{self._settings.pseudonym('used', name)}"
        return bool(await self._ask(lambda: self._redis.set(key, 1, ex=seconds, nx=True)))

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        if time.monotonic() - self._silent_at < RESTS_S:
            raise SilentError
        self._connect()
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await call()
        except Exception as error:  # whatever fails, a count is what failed: no request may end with it
            self._silent_at = time.monotonic()
            raise SilentError(type(error).__name__) from error

    def _connect(self) -> None:
        """Connections of the running loop; those of another one cannot be used on it."""
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        from redis.asyncio import Redis  # an extra: clinics without a Redis have no client
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        url = urlsplit(self._settings.online_store)._replace(query="", fragment="").geturl()
        once_more = Retry(NoBackoff(), 1)  # a connection that a restarted server has forgotten
        self._redis = Redis.from_url(url, socket_connect_timeout=PATIENCE_S, retry=once_more)
        options: dict[str, Any] = {"implementation": "redispy", "connection_pool": self._redis.connection_pool}
        storage = RedisStorage(f"async+{url}", key_prefix=self._prefix, **options)
        self._windows = SlidingWindowCounterRateLimiter(storage)
        self._loop = loop

    @property
    def _prefix(self) -> str:
        return f"pmlm-counts:{self._settings.clinic}"
