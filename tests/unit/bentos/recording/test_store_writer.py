"""A writer whose store blocks, fails or comes back."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from bentos.recording.store_writer import MOST_WAITING, PATIENCE_S, StoreWriter, await_writes, wait_for_writes
from pmlm.errors import RecordUnavailableError


def fail() -> None:
    raise OSError("the disk is full")


def test_writes_are_done_in_order_of_arrival() -> None:
    writer, written = StoreWriter("test"), list[int]()
    pending = [writer.submit(lambda n=number: written.append(n)) for number in range(50)]  # type: ignore[misc]
    wait_for_writes(pending)
    assert written == list(range(50))
    assert not any(one.failed() for one in pending)


def test_a_failure_is_an_error_of_ours() -> None:
    with pytest.raises(RecordUnavailableError):
        StoreWriter("test").write(fail)


def test_nobody_waits_for_a_blocked_store_and_what_was_given_up_is_not_written() -> None:
    writer, blocked, written = StoreWriter("test"), threading.Event(), list[str]()
    writer.submit(blocked.wait)
    started = time.monotonic()
    given_up = [writer.submit(lambda: written.append("given up")) for _ in range(5)]
    persisted = writer.submit(lambda: written.append("persisted"), persist=True)
    wait_for_writes([*given_up, persisted])
    assert all(one.failed() for one in (*given_up, persisted))
    assert time.monotonic() - started < 4 * PATIENCE_S
    blocked.set()
    writer.write(lambda: None)
    assert written == ["persisted"]


def test_a_write_that_a_busy_disk_delays_by_a_second_is_recorded() -> None:
    writer, written = StoreWriter("test"), list[str]()

    def write() -> None:
        time.sleep(1.0)
        written.append("slow")

    writer.write(write)
    assert written == ["slow"]


def test_a_line_that_is_full_refuses_at_once() -> None:
    writer, blocked = StoreWriter("test"), threading.Event()
    pending = [writer.submit(blocked.wait) for _ in range(MOST_WAITING + 2)]
    assert pending[-1].failed()
    blocked.set()


def test_what_failed_and_must_persist_is_written_with_the_next_success() -> None:
    writer, written, healthy = StoreWriter("test"), list[str](), threading.Event()

    def write() -> None:
        if not healthy.is_set():
            fail()
        written.append("late")

    pending = writer.submit(write, persist=True)
    wait_for_writes([pending])
    assert pending.failed()
    healthy.set()
    writer.write(lambda: None)
    writer.write(lambda: None)  # after the retry, in the same thread
    assert written == ["late"]


def test_the_event_loop_runs_on_while_a_store_blocks() -> None:
    writer, blocked = StoreWriter("test"), threading.Event()

    async def wait() -> int:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.01)

        heart = asyncio.ensure_future(beat())
        await await_writes([writer.submit(blocked.wait)])
        heart.cancel()
        return beats

    assert asyncio.run(wait()) > 5
    blocked.set()
