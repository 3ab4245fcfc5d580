"""Where feedback is kept until the night reads it: one line a signal, and each text in a file of its own.

``<workspace>/feedback/<day>.jsonl`` is the reward log: hashes, points, the edit program and its log-probability, no
text. What was written in words lies as ``<workspace>/quarantine/feedback/<id>.json``, with the other raw lines that
have not been de-identified yet, until the next night takes the names out of it
(``pipelines.records.feedback.intake``), at most ``RAW_DAYS``. Everything is mode 600.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from models.feedback import Feedback
from pmlm.settings import Settings

RAW_DAYS = 7
_DAY_S = 86_400
_SWEEP_S = 3600


class FeedbackStore:
    """The store of one clinic, with a count of who has said how much today: this process's own, the night's decides."""

    def __init__(self, settings: Settings) -> None:
        self._log = settings.workspace / "feedback"
        self._raw = settings.quarantine / "feedback"
        self._most = settings.feedback_a_day
        self._lock = threading.Lock()
        self._day = ""
        self._heard: dict[tuple[int, int], set[str]] = {}
        self._swept_at = float("-inf")

    def counts(self, giver: int, subject: int, answers: Sequence[str]) -> bool:
        """Whether what this giver says of these answers is within the cap; they are counted from now on."""
        with self._lock:
            today = f"{datetime.now(UTC):%Y%m%d}"
            if today != self._day:
                self._day, self._heard = today, {}
            heard = self._heard.setdefault((giver, subject), set())
            if len(heard | set(answers)) > self._most:
                return False
            heard.update(answers)
            return True

    def keep(self, said: Sequence[Feedback], texts: Mapping[str, str]) -> None:
        """Append the lines; with them ``texts`` (question, edit, comment), under the first line's id."""
        if texts:
            self._sweep()
            one = said[0]
            held = {"id": one.id, "subject": one.subject, "received": one.received.isoformat(), **texts}
            _write_new(self._raw, f"{one.id}.json", json.dumps(held, ensure_ascii=False).encode())
        self._log.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._log / f"{said[0].received:%Y%m%d}.jsonl"
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, "".join(f"{one.line()}\n" for one in said).encode())  # one write: processes share it
        finally:
            os.close(handle)

    def _sweep(self) -> None:
        """Forget raw texts that no night has come for."""
        if time.monotonic() - self._swept_at < _SWEEP_S or not self._raw.exists():
            return
        self._swept_at = time.monotonic()
        for path in self._raw.glob("*.json"):
            if time.time() - path.stat().st_mtime > RAW_DAYS * _DAY_S:
                path.unlink(missing_ok=True)


def _write_new(folder: Path, name: str, content: bytes) -> None:
    """A whole file or none: the night may read the folder at any moment."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = folder / f".{name}.part"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, content)
    finally:
        os.close(handle)
    part.rename(folder / name)
