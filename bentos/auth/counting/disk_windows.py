"""Sliding windows that the workers of one machine share, in SQLite.

``rates.db`` in the workspace, mode 600. One statement counts a request, so that two workers cannot both take the last
place, and a worker killed at any moment leaves the file whole. Nothing is synced to the disk: what a power cut loses is
a few counts. Names are keyed hashes.
"""

from __future__ import annotations

import sqlite3
import time

from limits.storage import MemoryStorage

from pmlm.settings import Settings
from pmlm.storage import open_private

#: A worker on its event loop waits no longer for another's statement, which takes a hundredth of a millisecond.
PATIENCE_S = 0.05
_SWEEP_S = 60.0
_TABLE = """
CREATE TABLE IF NOT EXISTS windows (
    id INTEGER PRIMARY KEY, number INTEGER NOT NULL, now INTEGER NOT NULL, before INTEGER NOT NULL, until REAL NOT NULL
)
"""
#: What a row says at window ``:number``, whichever window it was written in.
_NOW = "CASE WHEN number = :number THEN now ELSE 0 END"
_BEFORE = "CASE :number - number WHEN 0 THEN before WHEN 1 THEN now ELSE 0 END"
_COUNT = f"""
INSERT INTO windows (id, number, now, before, until) VALUES (:id, :number, 1, 0, :until)
ON CONFLICT (id) DO UPDATE SET now = {_NOW} + 1, before = {_BEFORE}, number = :number, until = :until
WHERE CAST({_BEFORE} * :left AS INTEGER) + {_NOW} < :limit
RETURNING 1
"""
_READ = f"SELECT {_BEFORE}, {_NOW} FROM windows WHERE id = :id"


class DiskWindows(MemoryStorage):
    """The storage of ``limits``' sliding window counter, opened on first use, for one thread of each process.

    It is a storage of that library with the two methods that sliding windows need in SQLite. They raise ``OSError`` or
    ``sqlite3.Error`` where the file does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._connection: sqlite3.Connection | None = None
        self._swept_at = float("-inf")

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count one more in the window of ``expiry`` seconds unless ``limit`` is reached; whether it was counted."""
        moment, connection = time.time(), self._open()
        if time.monotonic() - self._swept_at > _SWEEP_S:
            connection.execute("DELETE FROM windows WHERE until < ?", (moment,))
            self._swept_at = time.monotonic()
        place = self._place(key, expiry, moment) | {"limit": limit, "until": moment + 2 * expiry}
        return connection.execute(_COUNT, place).fetchall() != []

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The last window's count and the seconds for which it counts on; the same of this one."""
        place = self._place(key, expiry, time.time())
        found = self._open().execute(_READ, place).fetchone()
        before, now = found or (0, 0)
        left = place["left"] * expiry
        return before, left if before else 0.0, now, left + expiry

    def _place(self, key: str, expiry: int, moment: float) -> dict[str, float]:
        """The row's id, the running window's number, and the share of it that is left."""
        number, done = divmod(moment / expiry, 1)
        return {"id": self._settings.pseudonym("rate", key), "number": int(number), "left": 1 - done}

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            path = self._settings.workspace / "rates.db"
            with open_private(path):
                pass
            connection = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
            for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = OFF", _TABLE):
                connection.execute(statement)
            self._connection = connection
        return self._connection
