"""Reads a patient's features for the endpoint, and does not wait again and again for a store that is down.

A read that fails costs its request at most ``feature_repo.online.PATIENCE_S``; for ``RESTS_S`` after it every other
request is told at once, so that a stopped server never fills the queue. The first read after that finds a store that
is back.
"""

from __future__ import annotations

import time
from pathlib import Path

from feature_repo import online
from models.schema import FeatureRow
from pipelines.errors import FeaturesUnavailableError

RESTS_S = 2.0
#: How old a finding may be that ``/readyz`` tells: anyone may ask it, and asking must not load the store.
FRESH_S = 5.0
_UNREADABLE = "the clinic's features cannot be read at the moment"
_NOBODY = 0  # no pseudonym is 0


class OnlineRows:
    """The online store of one clinic, as one process sees it."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._failed_at = float("-inf")
        self._read_at = float("-inf")

    def read(self, subject: int) -> FeatureRow | None:
        """Her features, None where the store knows nothing of her; :class:`FeaturesUnavailableError` if it is down."""
        if time.monotonic() - self._failed_at < RESTS_S:
            raise FeaturesUnavailableError(_UNREADABLE)
        try:
            row = online.read(self._store, subject)
        except online.StoreDownError as error:
            self._failed_at = time.monotonic()
            raise FeaturesUnavailableError(_UNREADABLE) from error
        self._read_at = time.monotonic()
        return row

    def readable(self) -> bool:
        """Whether the store can be read: found out now where nobody has read it lately."""
        if max(self._read_at, self._failed_at) < time.monotonic() - FRESH_S:
            try:
                self.read(_NOBODY)
            except FeaturesUnavailableError:
                return False
        return self._read_at > self._failed_at
