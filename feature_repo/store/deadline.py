"""Limit how long a caller waits for a call, whatever the called code does.

BentoML's own timeout and a client's read timeout do not. A call that outlives its deadline cannot be killed: it holds
its slot until it ends. When all slots are taken the next call fails at once, instead of queueing behind a store or a
language model that no longer answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class BusyError(Exception):
    """Every slot is taken by a call that has not ended."""


class Deadline:
    """Runs calls in at most ``slots`` threads, each for ``seconds`` of the caller's time."""

    def __init__(self, seconds: float, slots: int = 16) -> None:
        self.seconds = seconds
        self._slots = threading.BoundedSemaphore(slots)

    def run(self, call: Callable[[], T], seconds: float | None = None) -> T:
        """Return the call's result.

        ``TimeoutError`` after the deadline, or after ``seconds`` where given; :class:`BusyError` without a free slot.
        """
        if not self._slots.acquire(blocking=False):
            raise BusyError
        outcome: Future[T] = Future()

        def work() -> None:
            try:
                outcome.set_result(call())
            except BaseException as error:
                outcome.set_exception(error)
            finally:
                self._slots.release()

        # A daemon: a hung call must not keep the server from ending, as a thread of an executor would.
        threading.Thread(target=work, daemon=True, name="deadline").start()
        return outcome.result(timeout=self.seconds if seconds is None else seconds)
