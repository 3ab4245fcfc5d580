"""Prompts are made in two threads beside the event loop, in order of arrival.

The first reads the questions that wait into vectors, several in one pass of the encoder, which is most of the work and
runs outside Python's lock; the second makes the prompts one after the other. So the encoder of the next requests runs
while the prompts of these are made, and the event loop keeps serving. Equal texts have equal vectors whatever they are
encoded beside, so company changes no prompt.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

TOGETHER = 8


@dataclass(frozen=True, slots=True)
class _Waiting:
    question: str
    work: Callable[[], Any]
    outcome: asyncio.Future[Any]


class Preparing:
    """The two threads. ``foresee`` reads questions into vectors; they end with the process or with :meth:`close`."""

    def __init__(self, foresee: Callable[[list[str]], object]) -> None:
        self._foresee = foresee
        self._arrived: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._read: queue.Queue[_Waiting | None] = queue.Queue(maxsize=2 * TOGETHER)
        for name, run in (("pmlm-read", self._reading), ("pmlm-prepare", self._working)):
            threading.Thread(target=run, name=name, daemon=True).start()

    async def run(self, question: str, work: Callable[[], T]) -> T:
        """The result of ``work``, which prepares this question; raises what it raises. Cancelled, it is passed over."""
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        context = contextvars.copy_context()
        self._arrived.put(_Waiting(question, lambda: context.run(work), outcome))
        return await outcome

    def close(self) -> None:
        """Let both threads end."""
        self._arrived.put(None)

    def _reading(self) -> None:
        going_on = True
        while going_on:
            batch = [self._arrived.get()]
            while len(batch) < TOGETHER and not self._arrived.empty():
                batch.append(self._arrived.get())
            living = [w for w in batch if w is not None and not w.outcome.cancelled()]
            going_on = None not in batch
            with suppress(Exception):  # the second thread meets the same failure and hands it to its request
                self._foresee([w.question for w in living])
            for waiting in living:
                self._read.put(waiting)
        self._read.put(None)

    def _working(self) -> None:
        while (waiting := self._read.get()) is not None:
            if waiting.outcome.cancelled():
                continue
            value, error = None, None
            try:
                value = waiting.work()
            except Exception as raised:
                error = raised
            loop = waiting.outcome.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, waiting.outcome, value, error)


def _settle(outcome: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
    if outcome.done():
        return
    if error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(value)
