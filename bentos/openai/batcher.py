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
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

TOGETHER = 16


@dataclass(frozen=True, slots=True)
class _Waiting:
    question: str
    work: Callable[[], Any]
    outcome: asyncio.Future[Any]
    alone: bool
    read: Future[None] = field(default_factory=Future)


class Preparing:
    """The two threads; they end with the process or with :meth:`close`.

    ``foresee`` reads questions into vectors that are remembered, ``forget`` one that is no longer needed: it is called
    once both threads are through with the question, in whichever order.
    """

    def __init__(self, foresee: Callable[[list[str]], object], forget: Callable[[str], object]) -> None:
        self._foresee = foresee
        self._forget = forget
        self._unread: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._unmade: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._inside = 0
        for name, run in (("pmlm-read", self._reading), ("pmlm-prepare", self._working)):
            threading.Thread(target=run, name=name, daemon=True).start()

    async def run(self, question: str, work: Callable[[], T]) -> T:
        """The result of ``work``, which prepares this question; raises what it raises. Cancelled, it is passed over."""
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        context = contextvars.copy_context()
        waiting = _Waiting(question, lambda: context.run(work), outcome, alone=self._inside == 0)
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
                one.read.set_result(None)
            going_on = None not in batch

    def _working(self) -> None:
        while (waiting := self._unmade.get()) is not None:
            if not waiting.alone:
                waiting.read.result()
            if not waiting.outcome.cancelled():
                _make(waiting)
            waiting.read.add_done_callback(partial(self._through, waiting.question))

    def _through(self, question: str, _: Future[None]) -> None:
        self._forget(question)


def _make(waiting: _Waiting) -> None:
    """Prepare, and hand the result or what was raised to who waits."""
    value, error = None, None
    try:
        value = waiting.work()
    except Exception as raised:
        error = raised
    with suppress(RuntimeError):  # the loop may have closed meanwhile
        waiting.outcome.get_loop().call_soon_threadsafe(_settle, waiting.outcome, value, error)


def _settle(outcome: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
    if outcome.done():
        return
    if error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(value)
