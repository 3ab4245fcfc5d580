"""A model that fails in a row rests, is tried once, and is trusted again when it answers."""

from __future__ import annotations

from bentos.llm.breaker import Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(failures=3, seconds=10, clock=Clock())
    for _ in range(5):
        breaker.record_failure()
        breaker.record_failure()
        breaker.record_success()
    assert breaker.wait == 0
    for _ in range(3):
        breaker.record_failure()
    assert breaker.wait == 10


def test_after_its_rest_one_trial_decides() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, seconds=10, clock=clock)
    breaker.record_failure()
    clock.now = 11
    assert breaker.wait == 0
    breaker.enter()
    assert breaker.wait > 0  # the trial is under way
    breaker.record_failure()
    assert breaker.wait == 10
    clock.now = 22
    breaker.enter()
    breaker.record_success()
    assert breaker.wait == 0


def test_a_trial_whose_caller_left_leaves_room_for_another() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, seconds=10, clock=clock)
    breaker.record_failure()
    clock.now = 11
    breaker.enter()
    breaker.abandon()
    assert breaker.wait == 0
