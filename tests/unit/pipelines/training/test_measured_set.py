"""The measured set grows from night to night within the budget, and a rerun measures the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.training.gains import count_evaluations
from pipelines.training.measured_set import choose_episodes, find_chosen
from tests.little_episodes import episode

EPISODES = [episode(i, "train") for i in range(24)]
SLOTS, BUDGET = 7, 40


def _choose(path: Path, night: str, episodes=EPISODES, conditions: str = "scorer") -> list[str]:
    return [e.episode_id for e in choose_episodes(path, night, episodes, BUDGET, SLOTS, conditions)]


def test_every_night_adds_new_episodes_within_its_budget_until_all_are_measured(tmp_path) -> None:
    path, before = tmp_path / "cache" / "measured.json", set()
    cost = {e.episode_id: count_evaluations(e, SLOTS) for e in EPISODES}
    for night in range(20260601, 20260613):
        chosen = set(_choose(path, str(night)))
        assert before <= chosen
        assert sum(cost[one] for one in chosen - before) <= BUDGET
        assert chosen > before or before == set(cost)
        before = chosen
    assert before == set(cost)


def test_a_rerun_of_a_night_measures_the_same_even_after_a_later_one(tmp_path) -> None:
    path = tmp_path / "measured.json"
    first = _choose(path, "20260601")
    written = path.read_bytes()
    assert _choose(path, "20260601") == first
    assert path.read_bytes() == written
    second = _choose(path, "20260602")
    assert _choose(path, "20260601") == first
    assert _choose(path, "20260602") == second


def test_episodes_that_are_gone_are_not_measured(tmp_path) -> None:
    path = tmp_path / "measured.json"
    gone = _choose(path, "20260601")[0]
    left = [e for e in EPISODES if e.episode_id != gone]
    assert gone not in _choose(path, "20260602", left)


@pytest.mark.parametrize("conditions", ["another scorer", "another template"])
def test_scores_of_other_prompts_are_not_counted_as_measured(tmp_path, conditions: str) -> None:
    path = tmp_path / "measured.json"
    first = _choose(path, "20260601")
    _choose(path, "20260602")
    assert _choose(path, "20260603", conditions=conditions) == first
    assert find_chosen(path, EPISODES, "scorer") == []


def test_an_evaluation_finds_what_all_nights_chose(tmp_path) -> None:
    path = tmp_path / "measured.json"
    assert find_chosen(path, EPISODES, "scorer") == []
    _choose(path, "20260601")
    chosen = _choose(path, "20260602")
    assert {e.episode_id for e in find_chosen(path, EPISODES, "scorer")} == set(chosen)
    assert set(json.loads(path.read_text())["nights"]) == {"20260601", "20260602"}
