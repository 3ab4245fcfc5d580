"""The reward's terms, and which reply sentences count as written for the patient."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.reward.terms import (
    SAFETY_FLOOR,
    ReplyBank,
    Score,
    SentenceScores,
    alignment,
    find_specific_sentences,
    length_term,
    ownership,
    reward,
    reward_with_floor,
)

OWN, PEER = 1, 2
GENERAL = "Please call us if anything worries you."


def test_means_are_over_tokens_not_over_sentences() -> None:
    found = SentenceScores(sums=(-10.0, -2.0), counts=(5, 1)).score((True, False))
    assert (found.specific, found.all) == (-2.0, -2.0)
    assert SentenceScores((-10.0, -4.0), (5, 1)).score((False, True)).specific == -4.0


def test_where_no_sentence_is_specific_all_count() -> None:
    assert SentenceScores((-10.0, -2.0), (5, 1)).score((False, False)).specific == -2.0


def test_an_empty_reply_has_no_score() -> None:
    assert math.isnan(SentenceScores((), ()).score(()).specific)


def test_terms_have_their_signs() -> None:
    better, worse = Score(-1.0, -2.0), Score(-1.5, -2.0)
    assert alignment(better, worse) == 0.5
    assert ownership(better, worse) == 0.5
    assert length_term(40, 0.003) == pytest.approx(-0.12)
    assert reward(better, 40, 0.003) == pytest.approx(-1.12)


@given(st.floats(-15, 0), st.integers(0, 500))
def test_an_unsafe_prompt_is_worse_than_any_safe_one(log_p: float, tokens: int) -> None:
    unsafe = reward_with_floor(Score(0.0, 0.0), 0, 0.003, safe=False)
    assert unsafe == SAFETY_FLOOR < reward_with_floor(Score(log_p, log_p), tokens, 0.003, safe=True)


def test_a_segment_without_effect_costs_its_tokens() -> None:
    assert reward(Score(-1.0, -1.0), 12, 0.003) < reward(Score(-1.0, -1.0), 0, 0.003)


def _bank(replies: list[tuple[int, tuple[str, ...]]]) -> ReplyBank:
    vectors = np.tile(np.array([1.0, 0.0], dtype=np.float32), (len(replies), 1))
    return ReplyBank(vectors, np.array([s for s, _ in replies]), tuple(frozenset(r) for _, r in replies))


QUESTION = np.array([1.0, 0.0], dtype=np.float32)


def test_a_sentence_that_half_of_the_others_got_is_general() -> None:
    bank = _bank([(PEER + i, (GENERAL,) if i % 2 == 0 else ("Other.",)) for i in range(20)])
    assert find_specific_sentences(("Your iron is low.", GENERAL), QUESTION, OWN, bank) == (True, False)


def test_what_she_was_told_herself_before_does_not_count() -> None:
    bank = _bank([(OWN, (GENERAL,))] * 20 + [(PEER, ("Other.",))] * 20)
    assert find_specific_sentences((GENERAL,), QUESTION, OWN, bank) == (True,)


def test_all_sentences_are_specific_where_none_is() -> None:
    bank = _bank([(PEER, (GENERAL,))] * 20)
    assert find_specific_sentences((GENERAL, GENERAL), QUESTION, OWN, bank) == (True, True)


def test_without_other_patients_all_is_specific() -> None:
    assert find_specific_sentences(("A.", "B."), QUESTION, OWN, _bank([(OWN, ("A.",))])) == (True, True)


def test_only_the_nearest_questions_are_asked() -> None:
    near = np.tile(np.array([[1.0, 0.0]], np.float32), (20, 1))
    far = np.tile(np.array([[0.0, 1.0]], np.float32), (30, 1))
    replies = (frozenset({GENERAL}),) * 20 + (frozenset({"Your iron is low."}),) * 30
    bank = ReplyBank(np.vstack([near, far]), np.arange(50) + PEER, replies)
    assert find_specific_sentences(("Your iron is low.", GENERAL), QUESTION, OWN, bank) == (True, False)


def test_a_salutation_makes_no_sentence_specific_and_a_bare_name_never_is() -> None:
    bank = _bank([(OWN + i, (GENERAL,)) for i in range(1, 6)])
    assert find_specific_sentences((f"Dear [name], {GENERAL}", "Your iron is low.", "[name]"), QUESTION, OWN, bank) == (
        False,
        True,
        False,
    )
