"""Read what a saved night trained on: experiment, hashes of its data, episodes.

Everything comes from the workspace's own Git repository, DVC cache and remote, without DVC: a saved night can be read
while another one runs.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from pipelines.night.workspace import run_git
from pipelines.runs import summary_path
from pmlm.settings import Settings
from pmlm.storage import read_json

EPISODES = "data/episodes"
_FILE = "episodes.parquet"


@dataclass(frozen=True, slots=True)
class SavedExperiment:
    """A saved night: its DVC experiment, the Git revision, and each out's hash by ``dvc.lock``.

    ``revision`` is None where the night was not saved, or its revision is gone.
    """

    night: str
    experiment: str
    revision: str | None
    outs: dict[str, str] = field(default_factory=dict)


def read_experiment(settings: Settings, night: str) -> SavedExperiment:
    """Read the experiment of a night."""
    name, stated = f"night-{night}", read_summary(settings, night, "save")
    revision = (stated or {}).get("figures", {}).get("experiment")
    if not isinstance(revision, str):
        return SavedExperiment(night, name, None)
    try:
        lock = yaml.safe_load(run_git(settings.workspace, "show", f"{revision}:dvc.lock")) or {}
    except (subprocess.CalledProcessError, OSError):
        return SavedExperiment(night, name, None)
    stages = (lock.get("stages") or {}).values()
    outs = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", ())}
    return SavedExperiment(night, name, revision, dict(sorted(outs.items())))


def read_summary(settings: Settings, night: str, stage: str) -> dict[str, Any] | None:
    """Read what a stage of a night wrote of itself; None where it did not run."""
    path = summary_path(settings, night, stage)
    return dict(read_json(path)) if path.exists() else None


def find_training_night(settings: Settings, weights: str) -> str | None:
    """Find the last night that trained a refiner of these weights (``hash_files``)."""
    paths = sorted(settings.runs.glob("[0-9]*/train.json"), reverse=True)
    return next((p.parent.name for p in paths if read_json(p).get("hashes", {}).get("weights") == weights), None)


def read_episodes(settings: Settings, experiment: SavedExperiment) -> pl.DataFrame | None:
    """Read a saved night's episodes: id, patient, split, each candidate's sources; None where they are gone."""
    listed = experiment.outs.get(EPISODES)
    return _read_cached(settings.workspace, listed) if listed else None


@lru_cache(maxsize=4)
def _read_cached(workspace: Path, listed: str) -> pl.DataFrame | None:
    folder = _find_object(workspace, listed)
    if folder is None:
        return None
    hashes = {entry["relpath"]: entry["md5"] for entry in json.loads(folder.read_bytes())}
    file = _find_object(workspace, hashes.get(_FILE, ""))
    if file is None:
        return None
    sources = pl.col("segments").list.eval(pl.element().struct.field("sources"))
    return pl.read_parquet(file).select("episode_id", "subject_id", "split", sources=sources)


def _find_object(workspace: Path, md5: str) -> Path | None:
    """A content in the DVC cache, or else in the local remote."""
    if not md5:
        return None
    roots = (workspace / ".dvc" / "cache", workspace.parent / ".remotes" / workspace.name)
    paths = (root / "files" / "md5" / md5[:2] / md5[2:] for root in roots)
    return next((path for path in paths if path.is_file()), None)
