"""A model that fails in a row rests, is tried once, and is trusted again when it answers."""

from __future__ import annotations

import pytest
from bentos.openai.breaker import Breaker

from bentos.openai.admission import Admission
from bentos.openai.errors import GatewayError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(failures=3, seconds=10, clock=Clock())
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.wait == 0
    for _ in range(3):
        breaker.failed()
    assert breaker.wait == 10


def test_after_its_rest_one_trial_decides() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, seconds=10, clock=clock)
    breaker.failed()
    clock.now = 11
    assert breaker.wait == 0
    breaker.enter()
    assert breaker.wait > 0  # the trial is under way
    breaker.failed()
    assert breaker.wait == 10
    clock.now = 22
    breaker.enter()
    breaker.succeeded()
    assert breaker.wait == 0


def test_a_trial_whose_caller_left_leaves_room_for_another() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, seconds=10, clock=clock)
    breaker.failed()
    clock.now = 11
    breaker.enter()
    breaker.abandoned()
    assert breaker.wait == 0


def test_places_are_counted_and_given_back_once() -> None:
    admission = Admission(queue=1, inside=2)
    first = admission.enter()
    with pytest.raises(GatewayError) as full:
        admission.enter()
    assert (full.value.status, full.value.headers) == (503, {"retry-after": "1"})
    first.prepared()
    second = admission.enter()
    second.prepared()
    with pytest.raises(GatewayError):
        admission.enter()
    for _ in range(3):
        first.leave()
        second.leave()
    assert (admission.waiting, admission.open) == (0, 0)
