"""Every refiner keeps the Protocol's invariants, whatever it is given."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.encoder import MiniLM
from models.refiner.baselines import EmptyRefiner, FullRefiner, NearestRefiner, RandomRefiner, RankingRefiner
from models.refiner.inference import PolicyRefiner
from models.refiner.interface import STYLES, Caps, Refiner
from models.schema import Segment

CAPS = Caps(picks=3, tokens=40)
TEXTS = ("Her haemoglobin is low.", "She has asthma.", "No migraine on record.", "She takes iron tablets.")


@st.composite
def segments(draw: st.DrawFn) -> tuple[Segment, ...]:
    count = draw(st.integers(0, 40))
    return tuple(
        Segment(
            key=f"k{i}",
            kind="pinned" if pinned else "record",
            text=draw(st.sampled_from(TEXTS)),
            pinned=pinned,
            tokens=draw(st.integers(0, 50)),
            change=draw(st.floats(-1e6, 1e6)),
        )
        for i in range(count)
        for pinned in [draw(st.booleans())]
    )


@pytest.fixture(scope="module")
def refiners(encoder: MiniLM, read) -> list[Refiner]:
    policy = PolicyRefiner(read.policy(pick_cap=CAPS.picks, token_cap=CAPS.tokens), encoder, "refiner-untrained")
    return [RankingRefiner(CAPS), EmptyRefiner(), RandomRefiner(CAPS), NearestRefiner(CAPS, encoder), policy]


@given(candidates=segments(), question=st.text(max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_refiner_picks_distinct_free_segments_within_the_caps(refiners, candidates, question) -> None:
    free = {s.key: s for s in candidates if not s.pinned}
    for refiner in refiners:
        program = refiner.refine(question, candidates)
        assert len(set(program.picks)) == len(program.picks) <= CAPS.picks, refiner.id
        assert set(program.picks) <= set(free), refiner.id
        assert sum(free[k].tokens for k in program.picks) <= CAPS.tokens, refiner.id
        assert program.style in STYLES
        assert program == refiner.refine(question, candidates), f"{refiner.id} is not deterministic"


def test_the_ranking_keeps_the_head_of_the_order_and_passes_over_what_is_too_long() -> None:
    candidates = tuple(Segment(f"k{i}", "record", "x", tokens=t) for i, t in enumerate((20, 30, 15, 5, 5)))
    assert RankingRefiner(CAPS).refine("", candidates).picks == ("k0", "k2", "k3")


def test_the_initial_prompt_holds_every_free_segment_whatever_its_length() -> None:
    candidates = tuple(Segment(f"k{i}", "record", "x", tokens=500) for i in range(9))
    assert len(FullRefiner().refine("", candidates).picks) == 9


def test_nearest_prefers_the_sentence_about_the_question(encoder: MiniLM) -> None:
    candidates = tuple(Segment(text, "record", text, tokens=5) for text in TEXTS)
    assert NearestRefiner(Caps(1, 40), encoder).refine("Is my asthma worse?", candidates).picks == ("She has asthma.",)


def test_chance_differs_between_questions_and_seeds() -> None:
    candidates = tuple(Segment(f"k{i}", "record", "x", tokens=5) for i in range(20))
    picks = {RandomRefiner(CAPS, seed).refine(q, candidates).picks for seed in range(3) for q in ("a", "b", "c")}
    assert len(picks) > 5
