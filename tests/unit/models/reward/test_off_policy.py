"""Off-policy estimates: exact where both agree, unbiased where sampled, absent without overlap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.reward.off_policy import JudgedAnswer, estimate_value, match_weight
from models.schema import EditProgram

A, B = EditProgram(("a",)), EditProgram(("a", "b"), "brief")
points = st.lists(st.integers(1, 5), min_size=1, max_size=20)


@given(points)
def test_a_challenger_that_answers_as_logged_is_worth_what_was_given(given_points: list[int]) -> None:
    found = estimate_value([JudgedAnswer(i, p, A, A, match_weight(A, A)) for i, p in enumerate(given_points)])
    mean = float(np.mean(given_points))
    assert (found.ips, found.snips, found.dr) == pytest.approx((mean, mean, mean))
    assert found.ess == len(given_points)


@given(points)
def test_without_overlap_the_estimate_rests_on_the_model_and_says_so(given_points: list[int]) -> None:
    found = estimate_value([JudgedAnswer(i, p, A, B, match_weight(A, B)) for i, p in enumerate(given_points)])
    assert found.ess == 0
    assert math.isnan(found.snips)
    assert 1 <= found.dr <= 5


def test_sampled_programs_give_the_challengers_true_value() -> None:
    """Logged: A with probability .8, worth 2, else B, worth 4. The challenger: A with probability .3."""
    random = np.random.default_rng(0)
    answers = []
    for i in range(4000):
        first = random.random() < 0.8
        weight = 0.3 / 0.8 if first else 0.7 / 0.2
        answers.append(JudgedAnswer(i % 50, 2.0 if first else 4.0, A if first else B, B, weight))
    found = estimate_value(answers)
    assert found.ips == pytest.approx(0.3 * 2 + 0.7 * 4, abs=0.15)
    assert found.snips == pytest.approx(0.3 * 2 + 0.7 * 4, abs=0.15)
    assert found.ess < len(answers)


def test_without_answers_nothing_is_said() -> None:
    found = estimate_value([])
    assert found.n == 0
    assert math.isnan(found.dr)


def test_picks_in_another_order_are_the_same_prompt() -> None:
    assert match_weight(EditProgram(("a", "b")), EditProgram(("b", "a"), log_prob=-1.0)) == 1.0
    assert match_weight(EditProgram(("a",)), EditProgram(("a",), "brief")) == 0.0
