"""A clinic's own repository: nobody else's, and whole again after whatever killed it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from models.refiner.grpo import GrpoCurves
from pipelines.night import saved_nights, workspace
from pipelines.night.stages import STAGES
from pipelines.training.train import TrainingMetrics, round_metrics
from pmlm.errors import SettingsError
from pmlm.settings import PROJECT, Settings
from pmlm.storage import SPILL_PREFIX, write_json


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_new_workspace_is_a_repository_with_the_projects_stages(settings: Settings) -> None:
    opened = workspace.open_workspace(settings)
    assert git(opened, "status", "--porcelain") == ""
    assert (opened / "dvc.yaml").read_bytes() == (PROJECT / "dvc.yaml").read_bytes()
    assert set(git(opened, "ls-files").splitlines()) >= {"dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config"}


def test_the_users_own_repository_is_never_touched(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = settings.home.parent
    git(outer, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(outer / ".git"))  # as inside a Git hook
    opened = workspace.open_workspace(settings)
    monkeypatch.delenv("GIT_DIR")
    assert git(opened, "rev-parse", "--show-toplevel") == str(opened.resolve())
    assert git(outer, "for-each-ref") == ""


def test_what_is_not_meant_for_git_cannot_be_committed_by_accident(settings: Settings) -> None:
    opened = workspace.open_workspace(settings)
    (opened / "quarantine").mkdir()
    (opened / "quarantine" / "lines.jsonl").write_text("a raw line")
    git(opened, "add", "--all")
    assert git(opened, "status", "--porcelain") == ""


def test_a_process_killed_inside_git_leaves_nothing_to_mend_by_hand(settings: Settings) -> None:
    opened = workspace.open_workspace(settings)
    git(opened, "checkout", "--quiet", "--detach")
    (opened / ".git" / "index.lock").touch()
    (opened / "dvc.lock").unlink()
    workspace.open_workspace(settings)
    assert git(opened, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert (opened / "dvc.lock").exists()
    assert git(opened, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    "left", ["", "schema: '2.0'\nstages:\n  records:\n    cmd: pmlm stage records\n    outs:\n    - pa"]
)
def test_a_process_killed_while_dvc_wrote_its_lock_leaves_one_that_can_be_read(settings: Settings, left: str) -> None:
    opened = workspace.open_workspace(settings)
    (opened / "dvc.lock").write_text(left)
    workspace.open_workspace(settings)
    with workspace.open_repository(opened) as repo:
        assert {stage.name for stage in repo.index.stages} == set(STAGES)


@pytest.mark.parametrize("left", ["", "drift:\n  alpha: 0.01\nnight: {date: '202606"])
def test_parameters_that_a_killed_process_left_half_written_can_be_read_again(settings: Settings, left: str) -> None:
    opened = workspace.open_workspace(settings)
    (opened / "params.yaml").write_text(left)
    workspace.open_workspace(settings)
    assert "drift" in yaml.safe_load((opened / "params.yaml").read_text())


@pytest.mark.parametrize(
    "left",
    [".git/HEAD.lock", ".git/refs/exps/exec/EXEC_BASELINE.lock", ".dvc/tmp/rwlock", ".dvc/tmp/exps/run/9f/9f.run"],
)
def test_a_night_is_saved_whatever_a_killed_save_left_behind(settings: Settings, left: str) -> None:
    opened = workspace.open_workspace(settings)
    workspace.write_night_params(settings, "20260301")
    saved_nights.save_experiment(settings, "20260301", {})
    (opened / left).parent.mkdir(parents=True, exist_ok=True)
    (opened / left).write_text('{"half')
    workspace.open_workspace(settings)
    saved_nights.save_experiment(settings, "20260301", {})
    assert [saved.night for saved in saved_nights.list_saved_nights(settings)] == ["20260301"]


def test_a_night_is_saved_where_a_killed_save_left_changes_in_the_index(settings: Settings) -> None:
    opened = workspace.open_workspace(settings)
    workspace.write_night_params(settings, "20260301")
    git(opened, "add", "params.yaml")
    (opened / "params.yaml").write_text(git(opened, "show", "HEAD:params.yaml") + "\n")
    workspace.open_workspace(settings)
    saved_nights.save_experiment(settings, "20260301", {})
    assert [saved.night for saved in saved_nights.list_saved_nights(settings)] == ["20260301"]
    assert git(opened, "diff", "--cached", "--name-only") == ""


def test_what_a_killed_feature_build_laid_on_disk_is_cleared(settings: Settings) -> None:
    opened = workspace.open_workspace(settings)
    (opened / f"{SPILL_PREFIX}killed").mkdir()
    (opened / f"{SPILL_PREFIX}killed" / "duckdb_temp_storage.tmp").write_bytes(b"half")
    workspace.open_workspace(settings)
    assert not list(opened.glob(f"{SPILL_PREFIX}*"))


def test_a_whole_lock_stays_as_it_is(settings: Settings) -> None:
    opened = workspace.open_workspace(settings)
    lock = "schema: '2.0'\nstages:\n  records:\n    cmd: a command\n"
    (opened / "dvc.lock").write_text(lock)
    workspace.open_workspace(settings)
    assert (opened / "dvc.lock").read_text() == lock


def test_a_workspace_killed_while_it_was_made_is_made_anew(settings: Settings) -> None:
    git_folder = settings.workspace / ".git"
    git_folder.mkdir(parents=True)
    (settings.workspace / ".dvc").mkdir()
    assert git(workspace.open_workspace(settings), "log", "--format=%s").startswith("Open the workspace")


def test_a_new_stage_order_of_the_project_is_followed(settings: Settings) -> None:
    opened = workspace.open_workspace(settings)
    (opened / "dvc.yaml").write_text("stages: {}\n")
    git(opened, "commit", "--quiet", "--all", "--message", "an older project")
    workspace.open_workspace(settings)
    assert (opened / "dvc.yaml").read_bytes() == (PROJECT / "dvc.yaml").read_bytes()
    assert git(opened, "status", "--porcelain") == ""


def test_dvc_plots_every_step_of_a_training(settings: Settings) -> None:
    opened = workspace.open_workspace(settings)
    curves = GrpoCurves(reward=[-4.0, -3.5], dead=[0.5, 0.0], entropy=[0.9, 0.7], picks=[3.0, 2.5], loss=[0.1, 0.2])
    trained = round_metrics(TrainingMetrics("warm start", 309, 34, warm_loss=[0.9, 0.5], grpo=curves))
    write_json(settings.metrics / "train.json", {"status": "done", **trained})
    command = [Path(sys.executable).parent / "dvc", "plots", "show", "--json"]
    done = subprocess.run(command, cwd=opened, check=True, capture_output=True, text=True)
    shown = json.loads(done.stdout)
    assert "errors" not in shown
    assert len(shown["data"]) == 4
    for (plot,) in shown["data"].values():
        assert [point["step"] for point in plot["content"]["data"]["values"]] == [1, 2]


def test_a_clinics_parameters_win_over_the_projects(settings: Settings) -> None:
    (settings.drops / "clinic.yaml").write_text("params: {train: {seed: 7}}\n")
    workspace.open_workspace(settings)
    workspace.write_night_params(settings, "20260301", settings.drops / "2026-03-01")
    written = yaml.safe_load((settings.workspace / "params.yaml").read_text())
    assert written["train"]["seed"] == 7
    assert written["night"] == {"date": "20260301", "drop": str(settings.drops / "2026-03-01")}


def test_dvc_sends_nothing_home(settings: Settings) -> None:
    configuration = (workspace.open_workspace(settings) / ".dvc" / "config").read_text()
    assert "analytics = False" in configuration
    assert "check_update = False" in configuration


def test_a_clinic_cannot_take_the_place_of_airflow(tmp_path: Path) -> None:
    (tmp_path / "airflow").mkdir()
    with pytest.raises(SettingsError, match="cannot be called airflow"):
        workspace.open_workspace(Settings(home=tmp_path / "state", drops=tmp_path / "airflow"))
