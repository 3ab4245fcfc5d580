"""When reinforcement learning runs: under a judge, in a new clinic, for questions with few readable replies."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.refiner.rl_need import FEW_IN_ALL, FEW_LIKE, count_like_replies, decide_rl

counts = st.lists(st.integers(0, 400), max_size=60)


def test_questions_with_many_readable_replies_need_none_and_the_night_says_so() -> None:
    found = decide_rl([FEW_LIKE] * 200, 200, judged=False, fewest=4)
    assert not found.needed
    assert found.why.startswith("not needed here: every question has at least")


def test_only_questions_with_few_readable_replies_are_reinforced() -> None:
    found = decide_rl([200] * 200 + [3] * 5, 205, judged=False, fewest=4)
    assert found.chosen == tuple(range(200, 205))
    assert "5 of 205" in found.why


def test_fewer_questions_than_a_step_takes_are_not_reinforced() -> None:
    found = decide_rl([200] * 200 + [3] * 3, 203, judged=False, fewest=4)
    assert not found.needed
    assert "3 of 203" in found.why


@given(counts, st.integers(0, 1000), st.booleans())
def test_a_judge_or_a_new_clinic_reinforces_every_question(like: list[int], readable: int, judged: bool) -> None:
    found = decide_rl(like, readable, judged=judged, fewest=4)
    assert found.why
    if len(like) >= 4 and (judged or readable < FEW_IN_ALL):
        assert found.chosen == tuple(range(len(like)))
    assert all(judged or readable < FEW_IN_ALL or like[i] < FEW_LIKE for i in found.chosen)


def test_replies_count_for_questions_like_theirs_if_they_can_be_read() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    assert count_like_replies(vectors, [True, True, False]).tolist() == [2, 2, 1]
    assert count_like_replies(vectors, [False] * 3).tolist() == [0, 0, 0]
    assert not len(count_like_replies(np.zeros((0, 2), np.float32), []))
