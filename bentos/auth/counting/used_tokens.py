"""Refuse the second use of a CDS client's token (``jti``, "to prevent replay").

Remembered until they expire, which is minutes: in the worker's memory, in ``used-tokens.db`` (SQLite, mode 600), which
the workers of one machine share and which survives a restart, and in the clinic's Redis where it has one, for all
machines. While one of these does not answer, the others count. Names are keyed hashes.
"""

from __future__ import annotations

import heapq
import math
import sqlite3
import threading
import time
from contextlib import suppress

import anyio.to_thread

from bentos.auth.counting.shared_counts import SharedCounts, SilentError
from pmlm.settings import Settings
from pmlm.storage import open_private

#: At 300 calls per second an EHR's tokens of five minutes still fit; beyond, the one that expires first is dropped.
CAPACITY = 100_000
PATIENCE_S = 0.25
_SWEEP_S = 60.0
_TABLE = "CREATE TABLE IF NOT EXISTS used (id INTEGER PRIMARY KEY, until REAL NOT NULL)"


class UsedTokens:
    """The tokens that were used and have not expired, by issuer and id."""

    def __init__(self, shared: SharedCounts | None = None, settings: Settings | None = None) -> None:
        self._shared = shared
        self._disk = None if settings is None else DiskUses(settings)
        self._seen: set[tuple[str, str]] = set()
        self._by_end: list[tuple[float, tuple[str, str]]] = []

    async def first_use(self, issuer: str, id_: str, until: float) -> bool:
        """Whether this is the token's first use; noted until ``until`` (seconds since 1970)."""
        if not self._first_here((issuer, id_), until):
            return False
        name = f"{issuer}\n{id_}"
        if self._disk is not None:
            with suppress(OSError, sqlite3.Error):
                if not await anyio.to_thread.run_sync(self._disk.first_use, name, until):
                    return False
        if self._shared is not None:
            with suppress(SilentError):
                return await self._shared.first_use(name, max(1, math.ceil(until - time.time())))
        return True

    def _first_here(self, name: tuple[str, str], until: float) -> bool:
        while self._by_end and (self._by_end[0][0] < time.time() or len(self._seen) >= CAPACITY):
            self._seen.discard(heapq.heappop(self._by_end)[1])
        if name in self._seen:
            return False
        self._seen.add(name)
        heapq.heappush(self._by_end, (until, name))
        return True


class DiskUses:
    """The uses on this machine's disk, opened on first use; for several threads and processes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._swept_at = float("-inf")

    def first_use(self, name: str, until: float) -> bool:
        """Whether nobody on this machine has used it; raises ``OSError`` or ``sqlite3.Error``."""
        hashed = self._settings.pseudonym("used", name)
        with self._lock, self._open() as connection:
            if time.monotonic() - self._swept_at > _SWEEP_S:
                connection.execute("DELETE FROM used WHERE until < ?", (time.time(),))
                self._swept_at = time.monotonic()
            done = connection.execute("INSERT OR IGNORE INTO used VALUES (?, ?)", (hashed, until))
        return done.rowcount == 1

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            path = self._settings.workspace / "used-tokens.db"
            with open_private(path):
                pass
            connection = sqlite3.connect(path, timeout=PATIENCE_S, check_same_thread=False)
            for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", _TABLE):
                connection.execute(statement)
            self._connection = connection
        return self._connection
