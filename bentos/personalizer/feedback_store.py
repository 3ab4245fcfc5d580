"""Store feedback until the night reads it; each text in its own file.

``<workspace>/feedback/<day>.jsonl`` is the reward log: hashes, points, the edit program and its log-probability, no
text; ``<workspace>/feedback/disputes/<day>.jsonl`` are the facts called wrong. Texts go to
``<workspace>/quarantine/feedback/<id>.json``, with the other raw lines that have not been de-identified yet, until the
next night takes the names out of them (``pipelines.records.feedback.intake``), at most ``RAW_DAYS``. Everything is mode
600.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from bentos.recording.store_writer import StoreWriter
from models.fact_disputes import Dispute
from models.feedback import DailyCap, Feedback
from pmlm.settings import Settings
from pmlm.storage import append_lines, make_private_folder, write_bytes

RAW_DAYS = 7
_DAY_S = 86_400
_SWEEP_S = 3600


class FeedbackStore:
    """The feedback store of one clinic, with today's counts.

    Counts are of this process alone; the night's count decides.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = settings.workspace / "feedback"
        self._raw = settings.quarantine / "feedback"
        self._daily_limit = settings.feedback_a_day
        self._writer = StoreWriter("feedback")
        self._lock = threading.Lock()
        self._day = ""
        self._cap = DailyCap(self._daily_limit)
        self._swept_at = float("-inf")

    def count(self, signals: Sequence[Feedback]) -> bool:
        """Count the signals of one request; whether all are within the daily caps."""
        with self._lock:
            today = self._name_day(datetime.now(UTC))
            if today != self._day:
                self._day, self._cap = today, DailyCap(self._daily_limit)
            return self._cap.admits(signals)

    def append(self, signals: Sequence[Feedback], texts: Mapping[str, str]) -> None:
        """Append the signals; store ``texts`` (question, edit, comment) under the first signal's id.

        :class:`RecordUnavailableError` where that does not succeed in time.
        """
        self._writer.write(lambda: self._append(signals, texts))

    def append_dispute(self, dispute: Dispute, correct: str | None) -> None:
        """Append a dispute of a fact; :class:`RecordUnavailableError` where that does not succeed in time."""
        self._writer.write(lambda: self._append_dispute(dispute, correct))

    def _append_dispute(self, dispute: Dispute, correct: str | None) -> None:
        if correct is not None:
            self._write_raw(dispute, {"comment": correct})
        append_lines(self._log / "disputes" / f"{self._name_day(dispute.received)}.jsonl", f"{dispute.line()}\n")

    def _append(self, signals: Sequence[Feedback], texts: Mapping[str, str]) -> None:
        if texts:
            self._write_raw(signals[0], texts)
        path = self._log / f"{self._name_day(signals[0].received)}.jsonl"
        append_lines(path, "".join(f"{one.line()}\n" for one in signals))

    def _name_day(self, moment: datetime) -> str:
        """The clinic's day (``YYYYMMDD``), by which feedback is capped and filed."""
        return f"{self._settings.localize(moment):%Y%m%d}"

    def _write_raw(self, first: Feedback | Dispute, texts: Mapping[str, str]) -> None:
        self._sweep()
        raw = {"id": first.id, "subject": first.subject, "received": first.received.isoformat(), **texts}
        make_private_folder(self._raw)
        # whole or not at all: the night may read the folder at any moment
        write_bytes(self._raw / f"{first.id}.json", json.dumps(raw, ensure_ascii=False).encode(), mode=0o600)

    def _sweep(self) -> None:
        """Delete raw texts that no night has come for."""
        if time.monotonic() - self._swept_at < _SWEEP_S or not self._raw.exists():
            return
        self._swept_at = time.monotonic()
        for path in self._raw.glob("*.json"):
            if time.time() - path.stat().st_mtime > RAW_DAYS * _DAY_S:
                path.unlink(missing_ok=True)
