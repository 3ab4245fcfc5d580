"""The champion's history: every change is a line, and no line can be changed, removed or moved unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.refiner import checkpoint
from models.refiner.interface import Caps
from models.refiner.policy import Policy
from models.refiner.policy_config import PolicyConfig
from pipelines.training import champion
from pipelines.training.champion_history import find_tampering, history_path, read_history, record_change
from pipelines.training.provenance import current_provenance
from pmlm.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", drops=tmp_path / "drops", key_dir=tmp_path / "keys")


@pytest.fixture
def changed(settings: Settings) -> Settings:
    record_change(settings, "first", None, "ranking", by="gate", why="the first", night="20260601")
    record_change(settings, "promote", "ranking", "a", by="gate", why="better", night="20260602")
    record_change(settings, "promote", "a", "b", by="Dr Lin", why="new template reviewed", night="20260603")
    record_change(settings, "rollback", "b", "a", by="Dr Lin", why="odd prompts", night="20260603")
    record_change(settings, "promote", "a", "c", by="gate", why="better", night="20260604")
    return settings


def test_a_line_says_who_when_from_to_and_why(changed) -> None:
    back = read_history(changed)[3]
    assert (back.by, back.action, back.before, back.after, back.why) == ("Dr Lin", "rollback", "b", "a", "odd prompts")
    assert back.at.startswith("20")


def test_a_person_raises_the_major_number_the_gate_the_minor_one_and_a_rollback_none(changed) -> None:
    assert [change.version for change in read_history(changed)] == ["v1.0.0", "v1.1.0", "v2.0.0", "v1.1.0", "v2.1.0"]


def test_the_same_champion_again_is_no_change(changed) -> None:
    before = history_path(changed).read_bytes()
    record_change(changed, "promote", "a", "c", by="gate", why="better", night="20260604")
    assert history_path(changed).read_bytes() == before


def test_a_champion_that_nobody_wrote_down_is_written_down_with_the_next_change(settings) -> None:
    record_change(settings, "promote", "old", "new", by="gate", why="better", night="20260601")
    assert [(c.action, c.after) for c in read_history(settings)] == [("found", "old"), ("promote", "new")]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda lines: [lines[0].replace("the first", "another"), *lines[1:]], id="a word changed"),
        pytest.param(lambda lines: [*lines[:2], *lines[3:]], id="a line removed"),
        pytest.param(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], id="two lines exchanged"),
        pytest.param(lambda lines: [*lines[:2], lines[2][:40], *lines[3:]], id="a line torn"),
        pytest.param(lambda lines: [*lines, lines[-1]], id="a line repeated"),
    ],
)
def test_a_history_that_was_tampered_with_is_found_out(changed, damage) -> None:
    assert find_tampering(changed) == []
    path = history_path(changed)
    path.write_text("\n".join(damage(path.read_text().splitlines())) + "\n")
    assert find_tampering(changed)


def test_promotion_and_rollback_write_themselves_down(settings, tmp_path) -> None:
    champion.ensure_champion(settings, "20260601", Caps())
    checkpoint.save_policy(tmp_path / "one", Policy(PolicyConfig()), current_provenance())
    new = champion.promote(settings, "20260602", tmp_path / "one", by="Dr Lin", why="reviewed")
    champion.roll_back(settings, by="Dr Lin", why="odd prompts")
    assert [(c.action, c.before, c.after) for c in read_history(settings)] == [
        ("first", None, "ranking"),
        ("promote", "ranking", new.id),
        ("rollback", new.id, "ranking"),
    ]


def test_a_run_killed_before_the_line_writes_it_when_it_is_run_again(settings, tmp_path) -> None:
    champion.ensure_champion(settings, "20260601", Caps())
    checkpoint.save_policy(tmp_path / "one", Policy(PolicyConfig()), current_provenance())
    new = champion.promote(settings, "20260602", tmp_path / "one")
    path = history_path(settings)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    champion.promote(settings, "20260602", tmp_path / "one")
    assert [c.after for c in read_history(settings)] == ["ranking", new.id]
    assert find_tampering(settings) == []
