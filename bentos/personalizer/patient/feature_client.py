"""Read a patient's online features, and skip a store that is down.

A read that fails costs its request at most ``feature_repo.store.online.PATIENCE_S`` and a fair share of its deadline;
for ``RESTS_S`` after it every other request fails at once, so that a stopped server never fills the queue. The first
read after that finds a store that is back. A store that hangs would make that one read wait again, and with it all
that queue behind it: it is probed in a thread of its own, and requests fail at once until it answers.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from feature_repo.store import online
from models.schema import FeatureRow
from pmlm.errors import FeaturesUnavailableError

RESTS_S = 2.0
#: How old a finding ``/readyz`` may report: anyone may ask it, and asking must not load the store.
FRESH_S = 5.0
#: A failure that took this long was silence; a server that is stopped refuses in milliseconds.
SILENCE_S = 0.25
#: Of a request's deadline, what its read of the store may take: the rest is for the answer without it.
SHARE = 0.25
_UNREADABLE = "the clinic's features cannot be read at the moment"
_NO_SUBJECT = 0  # no pseudonym is 0


class FeatureClient:
    """The online store of one clinic, as one process sees it; ``deadline_s`` is a request's."""

    def __init__(self, store: Path, deadline_s: float = online.PATIENCE_S / SHARE) -> None:
        self._store = store
        self._patience_s = min(online.PATIENCE_S, SHARE * deadline_s)
        self._failed_at = float("-inf")
        self._read_at = float("-inf")
        self._silent = threading.Event()

    def read(self, subject: int) -> FeatureRow | None:
        """A patient's features, None if unknown to the store; :class:`FeaturesUnavailableError` if it is down."""
        if self._silent.is_set() or time.monotonic() - self._failed_at < RESTS_S:
            raise FeaturesUnavailableError(_UNREADABLE)
        started = time.monotonic()
        try:
            row = online.read(self._store, subject, self._patience_s)
        except online.StoreDownError as error:
            self._failed_at = time.monotonic()
            if self._failed_at - started > min(SILENCE_S, self._patience_s / 2):
                self._start_probe()
            raise FeaturesUnavailableError(_UNREADABLE) from error
        self._read_at = time.monotonic()
        return row

    def readable(self) -> bool:
        """Whether the store can be read; tried now if it was not read lately."""
        if max(self._read_at, self._failed_at) < time.monotonic() - FRESH_S:
            try:
                self.read(_NO_SUBJECT)
            except FeaturesUnavailableError:
                return False
        return self._read_at > self._failed_at

    def _start_probe(self) -> None:
        """Probe a silent store in one thread until it answers, however many reads have failed."""
        if not self._silent.is_set():
            self._silent.set()
            threading.Thread(target=self._probe, name="pmlm-store", daemon=True).start()

    def _probe(self) -> None:
        while self._silent.is_set():
            time.sleep(RESTS_S)
            try:
                online.read(self._store, _NO_SUBJECT, self._patience_s)
            except online.StoreDownError:
                self._failed_at = time.monotonic()
            else:
                self._read_at, self._failed_at = time.monotonic(), float("-inf")
                self._silent.clear()
