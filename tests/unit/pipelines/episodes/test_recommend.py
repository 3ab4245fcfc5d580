"""Ranking a night's episodes: learnt from the training split alone, saved as it will be served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.encoder import MiniLM
from models.prompt import ranker_file
from models.schema import Episode
from pipelines.episodes.recommend import fit_ranker, rank_episodes, ranker_folder
from pmlm.settings import Settings
from tests.little_episodes import SPLITS, episode


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM()


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    """24 training episodes of 12 patients, and some held out of others."""
    found = [episode(i, split) for split in SPLITS for i in range(24 if split == "train" else 6)]
    return [replace(e, subject_id=e.subject_id if e.split != "train" else i % 12) for i, e in enumerate(found)]


def rank(settings: Settings, episodes: list[Episode], encoder: MiniLM) -> tuple[str | None, list[Episode]]:
    ranker = fit_ranker(settings, episodes, encoder)
    return ranker.id if ranker else None, rank_episodes(episodes, ranker, encoder)


def test_no_held_out_reply_reaches_any_ranking(tmp_path: Path, episodes: list[Episode], encoder: MiniLM) -> None:
    settings = Settings(home=tmp_path, drops=tmp_path)
    rewritten = [
        e
        if e.split == "train"
        else replace(e, reply=("Your asthma matters most.",), specific=(True,), facts=frozenset())
        for e in episodes
    ]
    (one, ranked), (two, again) = (rank(settings, found, encoder) for found in (episodes, rewritten))
    assert one is not None
    assert one == two == ranker_file.read_id(ranker_folder(settings))
    assert [e.segments for e in ranked] == [e.segments for e in again]
    # nor does it matter whether they are there at all, or what was behind any reply
    trained = [replace(e, facts=frozenset()) for e in episodes if e.split == "train"]
    three, alone = rank(settings, trained[::-1], encoder)
    assert three == one
    assert {e.episode_id: e.segments for e in alone} == {e.episode_id: e.segments for e in ranked if e.split == "train"}


def test_an_own_training_reply_reaches_other_patients_rankings_as_one_of_many_alone(
    tmp_path: Path, episodes: list[Episode], encoder: MiniLM
) -> None:
    settings = Settings(home=tmp_path, drops=tmp_path)
    ranker = fit_ranker(settings, episodes, encoder)
    assert ranker is not None
    donors = [s.donors for e in rank_episodes(episodes, ranker, encoder) for s in e.free]
    assert all(n == 0 or n >= settings.k_anonymity for n in donors)


def test_too_few_replies_leave_no_ranker_behind(tmp_path: Path, episodes: list[Episode], encoder: MiniLM) -> None:
    settings = Settings(home=tmp_path, drops=tmp_path)
    assert rank(settings, episodes, encoder)[0] is not None
    nothing, ranked = rank(settings, [e for e in episodes if e.split != "train"], encoder)
    assert nothing is None
    assert not ranker_folder(settings).exists()
    assert all(e.segments and not any(s.donors for s in e.segments) for e in ranked)
