"""Looks at the gate are counted once each, for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.evaluation.nightly.looks import count_looks, looks_path
from pipelines.runs import StageSummary, summary_path
from pmlm.settings import Settings
from pmlm.storage import write_json


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", drops=tmp_path / "drops")


def _look(settings: Settings, night: str, challenger: str, difference: float = 0.1, champion: str = "ranking") -> int:
    evaluated = {"status": "done", "challenger": challenger, "paired": {"patient": [0], "difference": [difference]}}
    return count_looks(settings, night, champion, evaluated)


def test_another_challenger_and_other_questions_are_further_looks(settings) -> None:
    assert _look(settings, "20260601", "a") == 1
    assert _look(settings, "20260602", "b") == 2
    assert _look(settings, "20260603", "b", difference=0.2) == 3


def test_the_identical_comparison_is_the_same_look_whenever_it_is_repeated(settings) -> None:
    _look(settings, "20260601", "a")
    _look(settings, "20260602", "b")
    before = looks_path(settings).read_bytes()
    assert _look(settings, "20260603", "a") == 1
    assert _look(settings, "20260603", "b") == 2
    assert looks_path(settings).read_bytes() == before


def test_a_new_champion_is_looked_at_for_the_first_time(settings) -> None:
    _look(settings, "20260601", "a")
    assert _look(settings, "20260602", "b", champion="a") == 1


def test_a_night_without_a_comparison_is_no_look(settings) -> None:
    assert count_looks(settings, "20260601", "ranking", {"status": "hold", "why": "no challenger"}) == 1
    assert not looks_path(settings).exists()


def test_looks_of_an_earlier_version_count(settings) -> None:
    for night, rows in (("20260601", 30), ("20260602", 0), ("20260603", 30)):
        summary = StageSummary("gate", night, rows_in=rows)
        written = {"stage": "gate", "night": night, "rows_in": summary.rows_in, "figures": {"champion": "ranking"}}
        write_json(summary_path(settings, night, "gate"), written)
    assert _look(settings, "20260604", "d") == 3
