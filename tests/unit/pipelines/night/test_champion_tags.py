"""The champion's versions are tags that GTO reads, and the history cannot lose its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from gto.constants import Action
from gto.tag import parse_name

from pipelines.night import champion_tags
from pipelines.night.workspace import lock_workspace, open_repository, run_git
from pipelines.training.champion_history import history_path, record_change
from pmlm.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "drops").mkdir()
    return Settings(home=tmp_path / "home", drops=tmp_path / "drops", key_dir=tmp_path / "keys")


@pytest.fixture
def tagged(settings: Settings) -> Settings:
    """Two nights that promoted, and a rollback, each tagged when it was saved."""
    with lock_workspace(settings) as workspace:
        record_change(settings, "first", None, "ranking", by="gate", why="the first", night="20260601")
        for name in ("a", "b"):
            before = "ranking" if name == "a" else "a"
            record_change(settings, "promote", before, name, by="gate", why="better", night="20260602")
            run_git(workspace, "commit", "--quiet", "--allow-empty", "--message", f"night of {name}")
            champion_tags.write_tags(settings, run_git(workspace, "rev-parse", "HEAD"))
        record_change(settings, "rollback", "b", "a", by="Dr Lin", why="odd prompts", night="20260602")
        champion_tags.write_tags(settings)
    return settings


def test_gto_parses_every_tag(tagged: Settings) -> None:
    parsed = [parse_name(tag) for tag in champion_tags.list_tags(tagged)]
    assert {one["name"] for one in parsed} == {"refiner"}
    assert {one["version"] for one in parsed if "version" in one} == {"v1.0.0", "v1.1.0", "v1.2.0"}
    assert sorted(one["counter"] for one in parsed if one["action"] == Action.ASSIGN) == [1, 2, 3, 4]


def test_gto_and_dvc_find_the_version_that_is_served_now(tagged: Settings) -> None:
    from gto.api import show

    (production,) = show(str(tagged.workspace), name="refiner#production")
    assert production["version"] == "v1.1.0"
    with open_repository(tagged.workspace) as repo:
        served = repo.artifacts.get_rev("refiner", stage="production")
    assert served == run_git(tagged.workspace, "rev-parse", "refiner@v1.1.0^{commit}")


def test_a_rollback_goes_to_the_commit_of_the_version_that_it_restores(tagged: Settings) -> None:
    commits = [
        run_git(tagged.workspace, "rev-parse", f"{tag}^{{commit}}")
        for tag in ("refiner@v1.1.0", "refiner#production#4")
    ]
    assert commits[0] == commits[1]


def test_tagging_again_moves_nothing(tagged: Settings) -> None:
    before = run_git(tagged.workspace, "show-ref", "--tags")
    champion_tags.write_tags(tagged, "HEAD")
    assert run_git(tagged.workspace, "show-ref", "--tags") == before


def test_lines_cut_off_at_the_end_or_rewritten_are_missed(tagged: Settings) -> None:
    assert champion_tags.find_history_damage(tagged) == []
    path = history_path(tagged)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    (finding,) = champion_tags.find_history_damage(tagged)
    assert "change 4 is missing" in finding
    record_change(tagged, "rollback", "b", "a", by="Dr Lin", why="another reason", night="20260602")
    (finding,) = champion_tags.find_history_damage(tagged)
    assert "change 4 is not the one" in finding
