"""The champion's comings and goings: promoted, replaced, rolled back, never half."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest

from models.refiner import checkpoint
from models.refiner.interface import Caps
from models.refiner.policy import Policy
from models.refiner.policy_config import PolicyConfig
from pipelines.training import champion
from pipelines.training.provenance import current_provenance
from pmlm.errors import TrainingError
from pmlm.settings import Settings
from pmlm.storage import hash_files


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


def test_rollback_to_a_champion_whose_files_are_missing_changes_nothing(settings, tmp_path) -> None:
    champion.ensure_champion(settings, "20260601", Caps())
    now = champion.promote(settings, "20260602", _policy(tmp_path / "one", 1))
    shutil.rmtree(champion.registry_folder(settings, "ranking"))
    with pytest.raises(TrainingError, match="the files of ranking are not in"):
        champion.roll_back(settings)
    assert champion.read_champion(settings) == now


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


def test_neither_warm_start_nor_repetitions_are_carried_into_the_champion(settings, tmp_path) -> None:
    champion.ensure_champion(settings, "20260601", Caps())
    challenger = _policy(tmp_path / "one", 1)
    _policy(challenger / "warm_start", 2)
    _policy(challenger / "seeds" / "1", 3)
    champion.promote(settings, "20260602", challenger)
    assert sorted(p.name for p in champion.champion_folder(settings).iterdir()) == sorted(
        [checkpoint.DESCRIPTION, checkpoint.WEIGHTS, checkpoint.CARD, champion.RECORD]
    )
