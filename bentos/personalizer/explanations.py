"""Store how each answer came about, for ``/explain``, during ``PMLM_EXPLANATION_DAYS``.

One row per answer in ``<workspace>/explanations.db`` (SQLite, mode 600), under the answer's id: the patient, and the
response without the language model's words. Neither the question nor any message of an application is stored, so
neither can be revealed. The columns ``kept_at`` and ``told`` are names on disk.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bentos.recording.store_writer import PATIENCE_S
from pmlm.api_types import Explanation, LLMReport, MovedSegment, PersonalizeResponse
from pmlm.errors import RecordUnavailableError
from pmlm.settings import Settings
from pmlm.storage import open_private

_TABLE = """
CREATE TABLE IF NOT EXISTS explanations (
    id TEXT PRIMARY KEY, subject INTEGER NOT NULL, kept_at REAL NOT NULL, endpoint TEXT NOT NULL, told TEXT NOT NULL
) WITHOUT ROWID
"""
_INDEX = "CREATE INDEX IF NOT EXISTS by_age ON explanations (kept_at)"
_NOT_STORED = {"answer", "disclaimer", "escalated"}  # of an answer: the language model's words and what goes with them
_DAY_S = 86_400
_SWEEP_S = 3600
_ERASURE_PATIENCE_S = 10


class StoredResponse(PersonalizeResponse):
    """A response without the language model's words."""

    llm: LLMReport | None = None


class Explanations:
    """The store of one clinic, opened on first use. Safe for several threads and processes."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.workspace / "explanations.db"
        self._days = settings.explanation_days
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._swept_at = float("-inf")

    def add(self, subject: int, endpoint: str, response: PersonalizeResponse) -> None:
        """Store how ``response`` came about, and delete what is older than the retention."""
        row = (response.id, subject, time.time(), endpoint, response.model_dump_json(exclude=_NOT_STORED))
        with self._use() as connection:
            connection.execute("INSERT OR REPLACE INTO explanations VALUES (?, ?, ?, ?, ?)", row)
            if time.monotonic() - self._swept_at > _SWEEP_S:
                connection.execute("DELETE FROM explanations WHERE kept_at < ?", (self._oldest(),))
                self._swept_at = time.monotonic()

    def find(self, id_: str) -> tuple[int, Explanation] | None:
        """The answer's patient and how it came about; None for an unknown id.

        :class:`RecordUnavailableError` where the store does not answer.
        """
        query = "SELECT subject, endpoint, told FROM explanations WHERE id = ? AND kept_at >= ?"
        try:
            with self._use() as connection:
                found = connection.execute(query, (id_, self._oldest())).fetchone()
        except (sqlite3.Error, OSError):
            raise RecordUnavailableError from None
        return (
            None if found is None else (int(found[0]), explain(found[1], StoredResponse.model_validate_json(found[2])))
        )

    def find_newest(self) -> str | None:
        """The id of the newest stored answer; None where there is none. Raises as :meth:`find` does."""
        found = self._select("SELECT id FROM explanations WHERE kept_at >= ? ORDER BY kept_at DESC LIMIT 1")
        return str(found[0][0]) if found else None

    def list_answers(self, subject: int) -> list[Explanation]:
        """How each stored answer about a patient came about, oldest first. Raises as :meth:`find` does."""
        query = "SELECT endpoint, told FROM explanations WHERE kept_at >= ? AND subject = ? ORDER BY kept_at"
        return [explain(row[0], StoredResponse.model_validate_json(row[1])) for row in self._select(query, subject)]

    def _select(self, query: str, *arguments: int) -> list[tuple[Any, ...]]:
        try:
            with self._use() as connection:
                return connection.execute(query, (self._oldest(), *arguments)).fetchall()
        except (sqlite3.Error, OSError):
            raise RecordUnavailableError from None

    def _oldest(self) -> float:
        return time.time() - self._days * _DAY_S

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        """The connection, in a transaction and for this thread alone; waits at most ``PATIENCE_S`` for either."""
        if not self._lock.acquire(timeout=PATIENCE_S):
            raise TimeoutError
        try:
            with self._open() as connection:
                yield connection
        finally:
            self._lock.release()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _connect(self._path)
        return self._connection


def erase_patients(settings: Settings, subjects: Collection[int]) -> int:
    """Delete the explanations of some patients' answers, bytes included; return how many there were."""
    path = settings.workspace / "explanations.db"
    if not path.is_file():
        return 0
    with closing(_connect(path)) as connection:
        connection.execute(f"PRAGMA busy_timeout = {_ERASURE_PATIENCE_S * 1000}")
        with connection:
            rows = [(subject,) for subject in subjects]
            removed = connection.executemany("DELETE FROM explanations WHERE subject = ?", rows).rowcount
        # what was written but not yet moved into the file may have the rows too
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return removed


def _connect(path: Path) -> sqlite3.Connection:
    """Open the store; made with mode 600 first, because SQLite gives its journal files the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_private(path):  # refuses what is no regular file, such as a pipe that nobody reads
        pass
    connection = sqlite3.connect(path, timeout=PATIENCE_S / 2, check_same_thread=False)
    try:
        # what a power cut may lose is the last explanations, never the file
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(_TABLE)
        connection.execute(_INDEX)
    except BaseException:
        connection.close()
        raise
    return connection


def explain(endpoint: str, stored: StoredResponse) -> Explanation:
    """What ``/explain`` answers for a stored response."""
    ranks = {key: rank for rank, key in enumerate(s.key for s in stored.segments if not s.pinned)}
    chosen = sorted(ranks[s.key] for s in stored.segments if s.position is not None)
    initial = {rank: place for place, rank in enumerate(chosen)}
    return Explanation(
        **{name: getattr(stored, name) for name in StoredResponse.model_fields},
        endpoint=endpoint,
        dropped=[s.key for s in stored.segments if not s.kept],
        moved=[
            MovedSegment(key=s.key, initial=initial[ranks[s.key]], refined=s.position)
            for s in stored.segments
            if s.position is not None and initial[ranks[s.key]] != s.position
        ],
    )
