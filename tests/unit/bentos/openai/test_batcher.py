"""Two threads make the prompts: in order, one failure is one request's, and no question is kept by either."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bentos.openai.batcher import PromptBatcher


class Memory:
    """Stands for the encoder's memory of texts; ``slow`` holds the reading back until it is set."""

    def __init__(self) -> None:
        self.cached: set[str] = set()
        self.slow = threading.Event()
        self.slow.set()

    def read(self, questions: list[str]) -> None:
        self.slow.wait(5)
        self.cached.update(questions)


def prepared(memory: Memory, job: Callable[[PromptBatcher], Any]) -> Any:
    async def run() -> Any:
        batcher = PromptBatcher(memory.read, memory.cached.discard)
        try:
            return await job(batcher)
        finally:
            memory.slow.set()
            batcher.close()
            for thread in [t for t in threading.enumerate() if t.name in ("pmlm-read", "pmlm-prepare")]:
                await asyncio.to_thread(thread.join, 5)

    return asyncio.run(run())


def test_results_and_failures_reach_the_request_they_belong_to() -> None:
    def fail() -> None:
        raise ValueError("hers alone")

    async def job(batcher: PromptBatcher) -> list[Any]:
        return await asyncio.gather(
            batcher.run("a", lambda: 1),
            batcher.run("b", fail),
            batcher.run("c", lambda: 3),
            return_exceptions=True,
        )

    first, failed, third = prepared(Memory(), job)
    assert (first, third) == (1, 3)
    assert isinstance(failed, ValueError)


@pytest.mark.parametrize("reading_is_last", [True, False])
def test_a_question_is_kept_by_neither_thread_whichever_comes_last(reading_is_last: bool) -> None:
    memory = Memory()

    async def job(batcher: PromptBatcher) -> None:
        if reading_is_last:
            memory.slow.clear()  # the only request: it is made while its question is still being read
        await batcher.run("a question", lambda: memory.cached.discard("a question"))

    prepared(memory, job)
    assert memory.cached == set()


def test_the_question_of_a_request_that_was_given_up_is_not_kept() -> None:
    memory = Memory()

    async def job(batcher: PromptBatcher) -> None:
        memory.slow.clear()
        waiting = [asyncio.ensure_future(batcher.run(q, lambda: None)) for q in ("first", "given up")]
        await asyncio.sleep(0.05)
        waiting[1].cancel()
        memory.slow.set()
        await asyncio.wait(waiting)

    prepared(memory, job)
    assert memory.cached == set()
