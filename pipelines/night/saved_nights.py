"""Save every night as a named DVC experiment, and restore it with the same content.

An experiment is a Git reference of its own (``refs/exps``), no commit on a branch. A restored night is hashed again
before use, and a damaged cache is refilled from the DVC remote.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.night import verify_hashes
from pipelines.night.workspace import lock_workspace, open_repository
from pipelines.runs import StageSummary, stage_run
from pmlm.errors import RestoreError, UnknownNightError
from pmlm.settings import Settings
from pmlm.storage import read_json

if TYPE_CHECKING:
    from dvc.repo import Repo


@dataclass(frozen=True, slots=True)
class SavedNight:
    """A saved night: its experiment's Git revision, and metrics by file name (``{"gate": {…}}``)."""

    night: str
    revision: str
    metrics: dict[str, Any]


def save_experiment(settings: Settings, night: str, figures: dict[str, Any]) -> StageSummary:
    """Record the stages' outputs in ``dvc.lock`` and save them as ``night-YYYYMMDD``.

    An earlier save of the night is replaced. Stages that have not run yet in this clinic are left out.
    """
    # a night whose every line is quarantined is a night too
    for folder in (settings.events, settings.features, settings.models / "trajectory"):
        folder.mkdir(parents=True, exist_ok=True)
    with stage_run(settings, night, "save") as summary, open_repository(settings.workspace) as repo:
        made = [s.addressing for s in repo.index.stages if all(path.exists for path in (*s.deps, *s.outs))]
        revision = repo.experiments.save(targets=made, name=_experiment_name(night), force=True)
        repo.push(revs=[revision])
        summary.hashes = verify_hashes.read_recorded_hashes(settings.workspace)
        summary.rows_out = len(summary.hashes)
        summary.figures = {"experiment": revision, "audit": read_audit_end(settings), **figures}
    return summary


def read_audit_end(settings: Settings) -> dict[str, Any] | None:
    """How far the audit record's chain goes now, so that a later cut is found (``pmlm audit verify``)."""
    path = settings.workspace / "audit-head.json"
    with contextlib.suppress(OSError, ValueError, KeyError):
        head = read_json(path)
        return {"seq": head["seq"], "chain": head["chain"]}
    return None


def save_champion(settings: Settings, name: str) -> str:
    """Save the workspace as experiment ``name``, no night's, with the champion as it is now; its revision."""
    with open_repository(settings.workspace) as repo:
        made = [s.addressing for s in repo.index.stages if all(path.exists for path in (*s.deps, *s.outs))]
        revision: str = repo.experiments.save(targets=made, name=name, force=True)
        repo.push(revs=[revision])
    return revision


def list_saved_nights(settings: Settings) -> list[SavedNight]:
    """All saved nights, oldest first, with their metrics."""
    if not (settings.workspace / ".dvc").exists():
        return []
    with open_repository(settings.workspace) as repo:
        saved = _list_experiments(repo)
        metrics = repo.metrics.show(revs=list(saved.values()), hide_workspace=True) if saved else {}
        return [
            SavedNight(n, revision, _metrics_by_name(metrics.get(revision, {})))
            for n, revision in sorted(saved.items())
        ]


def restore_experiment(settings: Settings, night: str) -> dict[str, str]:
    """Restore the workspace to a saved night; returns the recomputed hashes of its outs.

    UnknownNightError for an unknown night; RestoreError where neither cache nor remote has the recorded content.
    """
    with lock_workspace(settings) as workspace:
        with open_repository(settings.workspace) as repo:
            if night not in _list_experiments(repo):
                raise UnknownNightError(f"no night {night} has been saved; see `pmlm nights`")
            _apply_experiment(repo, night)
            damaged = verify_hashes.find_changed_outs(workspace)
            if damaged:
                _refill_cache(repo, workspace, damaged)
        damaged = verify_hashes.find_changed_outs(workspace)
        if damaged:
            raise RestoreError(f"night {night}: {', '.join(damaged)} cannot be restored to the recorded content")
        return verify_hashes.read_recorded_hashes(workspace)


def _apply_experiment(repo: Repo, night: str) -> None:
    from dvc.exceptions import CheckoutError

    # DVC reports the removal of outs that did not exist in that night as a failed checkout; the hashes decide
    with contextlib.suppress(CheckoutError):
        repo.experiments.apply(_experiment_name(night))


def _refill_cache(repo: Repo, workspace: Path, damaged: list[str]) -> None:
    """Delete damaged files from workspace and cache, then pull them from the remote."""
    from dvc.exceptions import DvcException

    for cached in (workspace / ".dvc" / "cache" / "files" / "md5").glob("*/*"):
        expected = cached.parent.name + cached.name.removesuffix(".dir")
        if (verify_hashes.compute_hash(cached) or "") != expected:
            cached.unlink()
    for path in damaged:
        shutil.rmtree(workspace / path, ignore_errors=True)
        (workspace / path).unlink(missing_ok=True)
    with contextlib.suppress(DvcException):
        repo.pull(targets=damaged, force=True)


def _list_experiments(repo: Repo) -> dict[str, str]:
    """Night → revision of its experiment: the newest, where stage orders differ."""
    found = repo.experiments.ls(all_commits=True)
    return {
        name.removeprefix("night-"): revision
        for experiments in found.values()
        for name, revision in experiments
        if name.startswith("night-")
    }


def _metrics_by_name(metrics: dict[str, Any]) -> dict[str, Any]:
    files = metrics.get("data", {})
    return {Path(path).stem: content["data"] for path, content in files.items() if content.get("data")}


def _experiment_name(night: str) -> str:
    return f"night-{night}"
