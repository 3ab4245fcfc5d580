"""Prompts are made in two threads beside the event loop, in order of arrival.

The first reads the questions that wait into vectors, several in one pass of the encoder, which is most of the work and
runs outside Python's lock; the second makes the prompts one after the other. So the encoder of the next requests runs
while the prompts of these are made, and the event loop keeps serving. A request that nobody stands before is begun by
both at once: her features are read while her question is. Equal texts have equal vectors whatever they are encoded
beside, so company changes no prompt.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

TOGETHER = 16


@dataclass(frozen=True, slots=True)
class _Waiting:
    question: str
    work: Callable[[], Any]
    outcome: asyncio.Future[Any]
    ready: threading.Event = field(default_factory=threading.Event)


class Preparing:
    """The two threads. ``foresee`` reads questions into vectors; they end with the process or with :meth:`close`."""

    def __init__(self, foresee: Callable[[list[str]], object]) -> None:
        self._foresee = foresee
        self._unread: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._unmade: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._inside = 0
        for name, run in (("pmlm-read", self._reading), ("pmlm-prepare", self._working)):
            threading.Thread(target=run, name=name, daemon=True).start()

    async def run(self, question: str, work: Callable[[], T]) -> T:
        """The result of ``work``, which prepares this question; raises what it raises. Cancelled, it is passed over."""
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        context = contextvars.copy_context()
        waiting = _Waiting(question, lambda: context.run(work), outcome)
        if self._inside == 0:
            waiting.ready.set()
        self._inside += 1
        self._unread.put(waiting)
        self._unmade.put(waiting)
        try:
            return await outcome
        finally:
            self._inside -= 1

    def close(self) -> None:
        """Let both threads end."""
        self._unread.put(None)
        self._unmade.put(None)

    def _reading(self) -> None:
        going_on = True
        while going_on:
            batch = [self._unread.get()]
            while len(batch) < TOGETHER and not self._unread.empty():
                batch.append(self._unread.get())
            waiting = [w for w in batch if w is not None]
            with suppress(Exception):  # the second thread meets the same failure and hands it to its request
                self._foresee([w.question for w in waiting if not w.outcome.cancelled()])
            for one in waiting:
                one.ready.set()
            going_on = None not in batch

    def _working(self) -> None:
        while (waiting := self._unmade.get()) is not None:
            waiting.ready.wait()
            if waiting.outcome.cancelled():
                continue
            value, error = None, None
            try:
                value = waiting.work()
            except Exception as raised:
                error = raised
            loop = waiting.outcome.get_loop()
            with suppress(RuntimeError):  # the loop may have closed meanwhile
                loop.call_soon_threadsafe(_settle, waiting.outcome, value, error)


def _settle(outcome: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
    if outcome.done():
        return
    if error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(value)
