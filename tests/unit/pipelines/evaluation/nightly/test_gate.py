"""The gate's decision from its figures alone, and the champion's comings and goings."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from models.refiner import checkpoint
from models.refiner.interface import Caps
from models.refiner.policy import Policy
from models.refiner.policy_config import PolicyConfig
from pipelines.evaluation.nightly import gate
from pipelines.params import GateParams
from pipelines.training import champion
from pipelines.training.champion import Champion
from pipelines.training.provenance import current_provenance
from pmlm.errors import TrainingError
from pmlm.settings import Settings
from pmlm.storage import hash_files

PARAMS = GateParams(confidence=0.95, bootstrap=400, minimum_episodes=20, minimum_patients=8)
RANKING = Champion(id="ranking", kind="ranking", since="20260601")


def _evaluated(differences: list[float], patients: int) -> dict:
    pairs = {"patient": [i % patients for i in range(len(differences))], "difference": differences}
    return {"status": "done", "challenger": "refiner-new", "champion": "ranking", "paired": pairs}


def _decide(differences: list[float], patients: int = 10, faced: Champion = RANKING, look: int = 1) -> dict:
    return gate.decide(_evaluated(differences, patients), faced, look, PARAMS)


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


def _policy(folder: Path, seed: int) -> Path:
    import torch

    torch.manual_seed(seed)
    checkpoint.save_policy(folder, Policy(PolicyConfig()), current_provenance())
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", drops=tmp_path / "drops")


def test_the_first_champion_is_the_ranking_and_stays_until_replaced(settings) -> None:
    assert champion.read_champion(settings) is None
    first = champion.ensure_champion(settings, "20260601", Caps())
    assert champion.ensure_champion(settings, "20260602", Caps(9, 9)) == first
    assert checkpoint.read_description(champion.champion_folder(settings))["caps"] == {"picks": 4, "tokens": 60}


def test_rollback_brings_the_former_champion_back_byte_for_byte(settings, tmp_path) -> None:
    champion.ensure_champion(settings, "20260601", Caps())
    one = champion.promote(settings, "20260602", _policy(tmp_path / "one", 1))
    weights = hash_files([champion.champion_folder(settings) / checkpoint.WEIGHTS])
    two = champion.promote(settings, "20260603", _policy(tmp_path / "two", 2))
    assert two.previous == ("ranking", one.id)
    back = champion.roll_back(settings)
    assert (back.id, back.previous, back.refused) == (one.id, ("ranking",), (two.id,))
    assert hash_files([champion.champion_folder(settings) / checkpoint.WEIGHTS]) == weights
    first = champion.roll_back(settings)
    assert (first.id, first.previous, set(first.refused)) == ("ranking", (), {one.id, two.id})
    assert not (champion.champion_folder(settings) / checkpoint.WEIGHTS).exists()
    with pytest.raises(TrainingError, match="no former champion"):
        champion.roll_back(settings)


def test_rollback_may_name_any_former_champion_and_no_other(settings, tmp_path) -> None:
    champion.ensure_champion(settings, "20260601", Caps())
    for night, seed in (("20260602", 1), ("20260603", 2)):
        champion.promote(settings, night, _policy(tmp_path / str(seed), seed))
    with pytest.raises(TrainingError, match="never champion"):
        champion.roll_back(settings, "refiner-unknown")
    assert champion.roll_back(settings, "ranking").id == "ranking"


def test_promoting_twice_is_promoting_once(settings, tmp_path) -> None:
    champion.ensure_champion(settings, "20260601", Caps())
    challenger = _policy(tmp_path / "one", 1)
    once = champion.promote(settings, "20260602", challenger)
    assert champion.promote(settings, "20260602", challenger) == once


def test_a_night_run_again_faces_the_champion_of_before_it(settings, tmp_path) -> None:
    before = champion.ensure_champion(settings, "20260601", Caps())
    after = champion.promote(settings, "20260602", _policy(tmp_path / "one", 1))
    assert champion.find_incumbent(settings, "20260602").id == before.id
    assert champion.find_incumbent(settings, "20260603").id == after.id
    assert (champion.find_champion_folder(settings, before) / checkpoint.DESCRIPTION).exists()
    third = champion.promote(settings, "20260602", _policy(tmp_path / "two", 2))  # other parameters, the same night
    assert champion.find_incumbent(settings, "20260602").id == before.id
    assert champion.find_incumbent(settings, "20260603").id == third.id


def test_a_replacement_that_died_halfway_leaves_the_old_champion(settings, tmp_path) -> None:
    champion.ensure_champion(settings, "20260601", Caps())
    path = champion.champion_folder(settings)
    path.rename(path.with_name(".champion.old"))  # as if killed between the two renames
    assert champion.read_champion(settings).id == "ranking"
    with contextlib.suppress(RuntimeError), champion.replace_folder(path) as part:
        (part / "half").write_text("x")
        raise RuntimeError
    assert champion.read_champion(settings).id == "ranking"
    assert not list(path.parent.glob(".champion*"))


def test_the_warm_start_is_not_carried_into_the_champion(settings, tmp_path) -> None:
    champion.ensure_champion(settings, "20260601", Caps())
    challenger = _policy(tmp_path / "one", 1)
    _policy(challenger / "warm_start", 2)
    champion.promote(settings, "20260602", challenger)
    assert sorted(p.name for p in champion.champion_folder(settings).iterdir()) == sorted(
        [checkpoint.DESCRIPTION, checkpoint.WEIGHTS, checkpoint.CARD, champion.RECORD]
    )
