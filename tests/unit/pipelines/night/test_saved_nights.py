"""Nights are saved and restored. Plain files stand for the outs, whose content does not matter to DVC."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pipelines.night import saved_nights, verify_hashes
from pipelines.night.workspace import open_workspace, write_night_params
from pmlm.errors import RestoreError, UnknownNightError
from pmlm.settings import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    open_workspace(settings)
    return settings


def write(settings: Settings, path: str, text: str) -> None:
    file = settings.workspace / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def take_in(settings: Settings, night: str) -> dict[str, str]:
    """What an intake leaves: new event and feature files. The hashes that were saved."""
    write_night_params(settings, night)
    write(settings, f"data/events/{night}.parquet", f"events of {night}")
    write(settings, f"data/ledger/{night}.json", "{}")
    write(settings, f"data/features/labs/{night}.parquet", f"features of {night}")
    return saved_nights.save_experiment(settings, night, {}).hashes


def learn(settings: Settings, night: str, gain: float) -> dict[str, str]:
    write(settings, "data/episodes/episodes.parquet", f"episodes of {night}")
    write(settings, "models/challenger/refiner.json", night)
    write(settings, "models/champion/champion.json", night)
    for name in ("train", "evaluation", "gate"):
        write(settings, f"metrics/{name}.json", json.dumps({"gain": gain}))
    return saved_nights.save_experiment(settings, night, {}).hashes


def git(settings: Settings, *arguments: str) -> str:
    command = ["git", "-C", str(settings.workspace), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_any_night_comes_back_with_the_hashes_it_was_saved_with(settings: Settings) -> None:
    first = take_in(settings, "20260101")
    second = take_in(settings, "20260102")
    third = learn(settings, "20260102", gain=0.5)

    assert saved_nights.restore_experiment(settings, "20260101") == first
    assert sorted(p.name for p in (settings.workspace / "data/events").iterdir()) == ["20260101.parquet"]
    assert not (settings.workspace / "models/champion").exists()
    assert saved_nights.restore_experiment(settings, "20260102") == third
    assert third["data/events"] == second["data/events"] != first["data/events"]
    assert (settings.workspace / "models/champion/champion.json").read_text() == "20260102"


def test_saving_leaves_branch_and_head_alone(settings: Settings) -> None:
    before = git(settings, "rev-parse", "HEAD"), git(settings, "branch", "--format=%(refname)")
    take_in(settings, "20260101")
    take_in(settings, "20260101")
    assert (git(settings, "rev-parse", "HEAD"), git(settings, "branch", "--format=%(refname)")) == before
    assert git(settings, "symbolic-ref", "HEAD") == "refs/heads/main"


def test_nights_are_listed_oldest_first_with_their_metrics(settings: Settings) -> None:
    take_in(settings, "20260101")
    take_in(settings, "20260102")
    learn(settings, "20260102", gain=0.25)
    listed = saved_nights.list_saved_nights(settings)
    assert [n.night for n in listed] == ["20260101", "20260102"]
    assert listed[0].metrics == {}
    assert listed[1].metrics["gate"] == {"gain": 0.25}


def test_a_damaged_cache_is_filled_again_from_the_remote(settings: Settings) -> None:
    first = take_in(settings, "20260101")
    take_in(settings, "20260102")
    damage(settings.workspace / ".dvc" / "cache")
    (settings.workspace / "data/events/20260101.parquet").unlink()
    assert saved_nights.restore_experiment(settings, "20260101") == first
    assert (settings.workspace / "data/events/20260101.parquet").read_text() == "events of 20260101"


def test_a_night_that_cannot_be_restored_whole_is_refused(settings: Settings) -> None:
    take_in(settings, "20260101")
    take_in(settings, "20260102")
    damage(settings.workspace / ".dvc" / "cache")
    (settings.workspace / "data/events/20260101.parquet").unlink()
    damage(settings.home / ".remotes")
    with pytest.raises(RestoreError, match="data/events"):
        saved_nights.restore_experiment(settings, "20260101")


def test_an_unknown_night_is_named_as_such(settings: Settings) -> None:
    take_in(settings, "20260101")
    with pytest.raises(UnknownNightError, match="20250101"):
        saved_nights.restore_experiment(settings, "20250101")


def damage(cache: Path) -> None:
    """Flip the content of every cached file, keeping its length, as a failing disk would."""
    files = [f for f in cache.glob("**/md5/*/*") if not f.name.endswith(".dir")]
    assert files
    for file in files:
        file.chmod(0o644)
        file.write_bytes(bytes(b ^ 0x01 for b in file.read_bytes()))


def test_our_hash_of_a_folder_is_the_one_that_dvc_records(settings: Settings) -> None:
    saved = take_in(settings, "20260101")
    assert saved["data/features"] == verify_hashes.compute_hash(settings.workspace / "data/features")
    write(settings, "data/features/labs/20260101.parquet", "other")
    assert verify_hashes.find_changed_outs(settings.workspace) == ["data/features"]
