"""Simulated ratings: they depend on style and content, and are noisy."""

import random
from statistics import fmean

from hypothesis import given
from hypothesis import strategies as st

from pipelines.synthetic.portal.conversations import rate_reply
from pipelines.synthetic.portal.replies import ReplySentence, RuleReply
from pipelines.synthetic.records.traits import Style, draw_traits


def reply(style: Style, facts: int = 3, complete: bool = True) -> RuleReply:
    sentences = tuple(ReplySentence(f"Fact {n}.", (f"k{n}",)) for n in range(facts))
    return RuleReply("tiredness", style, sentences, ("r",), complete)


def mean_rating(style: Style, **content: int) -> float:
    rng = random.Random(3)
    return fmean(rate_reply(reply(style, **content), "brief", rng) for _ in range(400))


def test_reply_in_the_liked_style_is_rated_a_star_higher() -> None:
    assert mean_rating("brief") - mean_rating("detailed") > 1.0


def test_reply_that_leaves_something_out_is_rated_lower() -> None:
    assert mean_rating("brief", facts=1, complete=False) < mean_rating("brief") - 0.3


@given(st.integers(), st.sampled_from(["brief", "detailed"]), st.integers(0, 5))
def test_rating_is_one_to_five_stars(seed: int, style: Style, facts: int) -> None:
    assert 1 <= rate_reply(reply(style, facts), "brief", random.Random(seed)) <= 5


@given(st.integers(0, 10_000), st.integers(0, 500))
def test_traits_are_drawn_once_per_patient(seed: int, index: int) -> None:
    assert draw_traits(seed, index) == draw_traits(seed, index)
