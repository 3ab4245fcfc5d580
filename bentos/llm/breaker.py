"""A circuit breaker: a language model that failed several times in a row is left alone for a while, then tried once."""

from __future__ import annotations

import time
from collections.abc import Callable

FAILURES = 5
OPEN_S = 15.0


class Breaker:
    """Closed until ``failures`` in a row; then open for ``seconds``; then one trial decides."""

    def __init__(
        self, failures: int = FAILURES, seconds: float = OPEN_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = failures
        self._seconds = seconds
        self._clock = clock
        self._failed = 0
        self._opened_at = 0.0
        self._trying = False

    @property
    def wait(self) -> float:
        """Seconds until a call may be made; 0 if one may be made now."""
        if self._failed < self._most:
            return 0.0
        left = self._opened_at + self._seconds - self._clock()
        return max(left, 1.0 if self._trying else 0.0)

    def enter(self) -> None:
        """A call begins; while open, it is the one trial."""
        self._trying = self._failed >= self._most

    def succeeded(self) -> None:
        self._failed, self._trying = 0, False

    def failed(self) -> None:
        self._failed += 1
        self._opened_at, self._trying = self._clock(), False

    def abandoned(self) -> None:
        """The caller went away: nothing was learnt."""
        self._trying = False
