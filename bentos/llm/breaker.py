"""A circuit breaker: leave a model alone after repeated failures, then try it once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

FAILURES = 5
OPEN_S = 15.0


class Breaker:
    """Closed until ``failures`` in a row, then open for ``seconds``, then one trial decides. Thread-safe."""

    def __init__(
        self, failures: int = FAILURES, seconds: float = OPEN_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self._failures = 0
        self._opened_at = 0.0
        self._trying = False
        self._lock = threading.Lock()

    @property
    def wait(self) -> float:
        """Seconds until a call may be made; 0 if one may be made now."""
        with self._lock:
            if self._failures < self._limit:
                return 0.0
            left = self._opened_at + self._seconds - self._clock()
            return max(left, 1.0 if self._trying else 0.0)

    def enter(self) -> None:
        """Begin a call; while open, it is the one trial."""
        with self._lock:
            self._trying = self._failures >= self._limit

    def record_success(self) -> None:
        with self._lock:
            self._failures, self._trying = 0, False

    def record_failure(self) -> None:
        with self._lock:
            self._failures += 1
            self._opened_at, self._trying = self._clock(), False

    def abandon(self) -> None:
        """End a call that its caller gave up: nothing was learnt."""
        with self._lock:
            self._trying = False
