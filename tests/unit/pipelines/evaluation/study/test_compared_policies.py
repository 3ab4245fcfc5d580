"""Which policy the study calls ``refined``: the night's challenger, or the one that serves where none was trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.refiner import checkpoint
from models.refiner.interface import Caps
from models.refiner.policy import Policy
from models.refiner.policy_config import PolicyConfig
from pipelines.embedding_cache import open_encoder
from pipelines.evaluation.study.comparison.candidates import REFINED, load_policies
from pipelines.training.champion import champion_folder
from pipelines.training.provenance import current_provenance
from pmlm.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path)


def _save(folder: Path, hidden_size: int) -> str:
    return checkpoint.save_policy(folder, Policy(PolicyConfig(hidden_size=hidden_size)), current_provenance())


def test_the_challenger_comes_before_the_champion(settings: Settings) -> None:
    serving, trained = _save(champion_folder(settings), 8), _save(settings.models / "challenger", 16)
    with open_encoder(settings) as encoder:
        assert load_policies(settings, encoder)[REFINED].id == trained != serving


def test_a_night_without_a_training_is_measured_by_what_serves(settings: Settings) -> None:
    serving = _save(champion_folder(settings), 8)
    with open_encoder(settings) as encoder:
        assert load_policies(settings, encoder)[REFINED].id == serving


def test_a_ranking_that_serves_is_no_refined_prompt(settings: Settings) -> None:
    checkpoint.save_ranking(champion_folder(settings), Caps(4, 60), current_provenance())
    with open_encoder(settings) as encoder:
        assert load_policies(settings, encoder) == {}
