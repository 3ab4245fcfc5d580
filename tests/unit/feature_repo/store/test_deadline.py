"""A deadline holds whatever the called code does."""

from __future__ import annotations

import threading
import time

import pytest

from feature_repo.store.deadline import BusyError, Deadline


def test_a_call_in_time_gives_its_result() -> None:
    assert Deadline(5).run(lambda: 41 + 1) == 42


def test_a_call_that_raises_raises_for_the_caller() -> None:
    def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        Deadline(5).run(fail)


def test_a_hanging_call_ends_for_the_caller_at_the_deadline() -> None:
    release = threading.Event()
    started = time.perf_counter()
    with pytest.raises(TimeoutError):
        Deadline(0.1).run(release.wait)
    assert time.perf_counter() - started < 2
    release.set()


def test_without_a_free_slot_the_next_call_fails_at_once_and_a_freed_slot_serves_again() -> None:
    release, deadline = threading.Event(), Deadline(0.1, slots=1)
    with pytest.raises(TimeoutError):
        deadline.run(release.wait)
    with pytest.raises(BusyError):
        deadline.run(lambda: None)
    release.set()
    for _ in range(100):
        try:
            assert deadline.run(lambda: "again") == "again"
            return
        except BusyError:
            time.sleep(0.02)
    pytest.fail("the slot of an ended call was never given back")


def test_one_call_may_have_less_time_than_the_others() -> None:
    release = threading.Event()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        Deadline(30).run(release.wait, seconds=0.05)
    release.set()
    assert time.monotonic() - started < 10
