"""Prepare prompts in two threads next to the event loop, in order of arrival.

The first encodes the questions that wait, several in one pass of the encoder, which is most of the work and runs
outside Python's lock; the second prepares the prompts one after the other. So the encoder of the next requests runs
while the prompts of these are made, and the event loop keeps serving. A request that finds the queue empty is begun by
both at once: the features are read while the question is encoded. Equal texts have equal vectors whatever they are
encoded with, so a batch changes no prompt.
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

BATCH = 16


@dataclass(frozen=True, slots=True)
class _Job:
    question: str
    work: Callable[[], Any]
    outcome: asyncio.Future[Any]
    first: bool
    encoded: Future[None] = field(default_factory=Future)


class PromptBatcher:
    """The two threads; they end with the process or with :meth:`close`.

    ``encode`` computes and caches vectors of questions; ``forget`` drops one, once both threads are done with it.
    """

    def __init__(self, encode: Callable[[list[str]], object], forget: Callable[[str], object]) -> None:
        self._encode = encode
        self._forget = forget
        self._to_encode: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._to_prepare: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._jobs = 0
        for name, run in (("pmlm-read", self._encode_questions), ("pmlm-prepare", self._prepare_prompts)):
            threading.Thread(target=run, name=name, daemon=True).start()

    async def run(self, question: str, work: Callable[[], T]) -> T:
        """The result of ``work``, which prepares this question; skipped where it is cancelled in time."""
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        context = contextvars.copy_context()
        job = _Job(question, lambda: context.run(work), outcome, first=self._jobs == 0)
        self._jobs += 1
        self._to_encode.put(job)
        self._to_prepare.put(job)
        try:
            return await outcome
        finally:
            self._jobs -= 1

    def close(self) -> None:
        """Let both threads end."""
        self._to_encode.put(None)
        self._to_prepare.put(None)

    def _encode_questions(self) -> None:
        is_open = True
        while is_open:
            batch = [self._to_encode.get()]
            while len(batch) < BATCH and not self._to_encode.empty():
                batch.append(self._to_encode.get())
            jobs = [job for job in batch if job is not None]
            with suppress(Exception):  # the second thread meets the same failure and hands it to its request
                self._encode([job.question for job in jobs if not job.outcome.cancelled()])
            for job in jobs:
                job.encoded.set_result(None)
            is_open = None not in batch

    def _prepare_prompts(self) -> None:
        while (job := self._to_prepare.get()) is not None:
            if not job.first:
                job.encoded.result()
            if not job.outcome.cancelled():
                _finish(job)
            job.encoded.add_done_callback(partial(self._forget_question, job.question))

    def _forget_question(self, question: str, _: Future[None]) -> None:
        self._forget(question)


def _finish(job: _Job) -> None:
    """Prepare, and hand the result or the error to the waiting request."""
    value, error = None, None
    try:
        value = job.work()
    except Exception as raised:
        error = raised
    with suppress(RuntimeError):  # the loop may have closed meanwhile
        job.outcome.get_loop().call_soon_threadsafe(_settle, job.outcome, value, error)


def _settle(outcome: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
    if outcome.done():
        return
    if error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(value)
