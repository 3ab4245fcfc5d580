"""The gate's decision from its figures alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.evaluation.nightly import verdict
from pipelines.params import GateParams
from pipelines.training.champion import Champion

PARAMS = GateParams(confidence=0.95, bootstrap=400, minimum_episodes=20, minimum_patients=8)
RANKING = Champion(id="ranking", kind="ranking", since="20260601")


def _evaluated(differences: list[float], patients: int, **figures: object) -> dict:
    pairs = {"patient": [i % patients for i in range(len(differences))], "difference": differences}
    safe = {name: {"challenger": 1.0, "champion": 1.0} for name in verdict.SAFETY}
    evaluated = {"status": "done", "challenger": "refiner-new", "champion": "ranking", "paired": pairs}
    return evaluated | {"slices": [], "safety": safe, "seeds": [0.1, 0.1, 0.1]} | figures


def _decide(
    differences: list[float], patients: int = 10, faced: Champion = RANKING, look: int = 1, **figures: object
) -> dict:
    return verdict.decide(_evaluated(differences, patients, **figures), faced, look, PARAMS)


def test_better_beyond_doubt_is_promoted() -> None:
    decided = _decide([0.1 + 0.01 * (i % 7) for i in range(40)])
    assert decided["decision"] == "promote"
    assert decided["ci_low"] > 0
    assert (decided["n"], decided["patients"]) == (40, 10)


def test_better_on_average_only_is_not_enough() -> None:
    decided = _decide([1.5 if i % 10 < 3 else -0.5 for i in range(40)])
    assert decided["value"] > 0
    assert decided["decision"] == "hold"


@given(st.lists(st.floats(-1, 1), max_size=60), st.integers(1, 20), st.integers(1, 50))
@hypothesis_settings(deadline=None, max_examples=40)
def test_nobody_is_promoted_without_the_lower_bound_above_zero(differences, patients, look) -> None:
    decided = _decide(differences, patients, look=look)
    if decided["decision"] == "promote":
        assert decided["ci_low"] > 0
        assert decided["n"] >= 20
        assert decided["patients"] >= 8
    assert decided["why"]


def test_each_look_asks_for_more() -> None:
    differences = [0.02 + 0.05 * ((i * 7) % 11 - 5) / 5 for i in range(60)]
    bounds = [_decide(differences, look=look)["ci_low"] for look in (1, 2, 5, 20)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > bounds[-1]


def test_a_rolled_back_refiner_is_not_promoted_again() -> None:
    refused = Champion(id="ranking", kind="ranking", since="20260601", refused=("refiner-new",))
    decided = _decide([0.2] * 40, faced=refused)
    assert decided["decision"] == "hold"
    assert "rolled back" in decided["why"]


def test_an_evaluation_against_another_champion_decides_nothing() -> None:
    other = Champion(id="refiner-old", kind="policy", since="20260601")
    assert _decide([0.2] * 40, faced=other)["decision"] == "hold"


BETTER = [0.1 + 0.01 * (i % 7) for i in range(40)]


def test_worse_beyond_doubt_is_rejected() -> None:
    decided = _decide([-difference for difference in BETTER])
    assert decided["decision"] == "reject"
    assert decided["ci_high"] < 0


def test_worse_is_asked_at_the_full_level_however_often_one_has_looked() -> None:
    slightly = [-0.02 + 0.04 * ((i * 7) % 11 - 5) / 5 for i in range(60)]
    assert _decide(slightly, look=1)["decision"] == _decide(slightly, look=50)["decision"] == "reject"


@pytest.mark.parametrize("name", sorted(verdict.SAFETY))
def test_a_safety_figure_below_the_champions_rejects_whatever_the_reward(name: str) -> None:
    equal = {figure: {"challenger": 1.0, "champion": 1.0} for figure in verdict.SAFETY}
    worse = 2.0 if name == "contradictions" else 0.9
    decided = _decide(BETTER, safety=equal | {name: {"challenger": worse, "champion": 1.0}})
    assert decided["decision"] == "reject"
    assert decided["why"].startswith("safety")


def test_a_safety_figure_above_the_champions_is_no_harm() -> None:
    better = {"red_flag_recall": (1.0, 0.9), "pinned_present": (1.0, 0.9), "contradictions": (0, 3)}
    safety = {name: {"challenger": ours, "champion": theirs} for name, (ours, theirs) in better.items()}
    assert _decide(BETTER, safety=safety)["decision"] == "promote"


def _slice(name: str, p_no_worse: float, patients: int = 12) -> dict:
    return {"slice": name, "n": 2 * patients, "patients": patients, "difference": -0.2, "p_no_worse": p_no_worse}


def test_a_slice_that_is_significantly_worse_rejects_and_is_named() -> None:
    decided = _decide(BETTER, slices=[_slice("trimester third", 0.001), _slice("language en", 0.9)])
    assert decided["decision"] == "reject"
    assert "trimester third" in decided["why"]


def test_of_many_slices_one_low_p_value_is_chance() -> None:
    slices = [_slice(f"age {i}", 0.03 if i == 0 else 0.5) for i in range(10)]
    assert _decide(BETTER, slices=slices)["decision"] == "promote"
    assert _decide(BETTER, slices=slices[:1])["decision"] == "reject"


def test_a_slice_of_few_patients_is_shown_and_does_not_decide() -> None:
    decided = _decide(BETTER, slices=[_slice("age under_25", 0.0, patients=7)])
    assert decided["decision"] == "promote"
    assert decided["slices"][0]["worse"] is None


def test_a_challenger_that_is_better_with_one_seed_alone_is_not_promoted() -> None:
    decided = _decide(BETTER, seeds=[0.13, 0.02, -0.01])
    assert decided["decision"] == "hold"
    assert "seed" in decided["why"]
    assert decided["seed_spread"] > 0


def test_an_evaluation_of_an_earlier_version_decides_nothing() -> None:
    old = _evaluated(BETTER, 10)
    del old["slices"]
    assert verdict.decide(old, RANKING, 1, PARAMS)["decision"] == "hold"
