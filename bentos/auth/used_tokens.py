"""Refuse the second use of a CDS client's token (``jti``, "to prevent replay").

Remembered until they expire, which is minutes: in the worker's memory, and in the clinic's Redis where it has one, so
that a token used at one worker is known to all. While that Redis is silent each worker knows its own.
"""

from __future__ import annotations

import heapq
import math
import time

from bentos.auth.shared_counts import SharedCounts, SilentError

#: At 300 calls per second an EHR's tokens of five minutes still fit; beyond, the one that expires first is dropped.
CAPACITY = 100_000


class UsedTokens:
    """The tokens that were used and have not expired, by issuer and id."""

    def __init__(self, shared: SharedCounts | None = None) -> None:
        self._shared = shared
        self._seen: set[tuple[str, str]] = set()
        self._by_end: list[tuple[float, tuple[str, str]]] = []

    async def first_use(self, issuer: str, id_: str, until: float) -> bool:
        """Whether this is the token's first use; noted until ``until`` (seconds since 1970)."""
        if not self._first_here((issuer, id_), until):
            return False
        if self._shared is not None:
            try:
                return await self._shared.first_use(f"{issuer}\n{id_}", max(1, math.ceil(until - time.time())))
            except SilentError:
                pass
        return True

    def _first_here(self, name: tuple[str, str], until: float) -> bool:
        while self._by_end and (self._by_end[0][0] < time.time() or len(self._seen) >= CAPACITY):
            self._seen.discard(heapq.heappop(self._by_end)[1])
        if name in self._seen:
            return False
        self._seen.add(name)
        heapq.heappush(self._by_end, (until, name))
        return True
