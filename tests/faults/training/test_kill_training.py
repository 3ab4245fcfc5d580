"""Training killed halfway and rerun gives the same weights and scores nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest

from pipelines.evaluation.nightly import gate
from pipelines.training import champion, rewards, train
from pmlm.settings import Settings
from pmlm.storage import hash_files
from tests.command_line import environment
from tests.little_episodes import NIGHT, clinic

PARAMS = {"train": {"gain_evaluations": 24, "grpo_steps": 1}}
OUTPUTS = ("models/challenger", "metrics/train.json")


def _start_stage(settings: Settings, stage: ModuleType) -> subprocess.Popen[bytes]:
    imports = f"from pmlm.settings import load_settings; import {stage.__name__} as stage"
    code = f"{imports}; stage.run(load_settings(), '{NIGHT}')"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _scored(settings: Settings) -> int:
    path = rewards.cache_path(settings)
    return pq.read_metadata(path).num_rows if path.exists() else 0


def _wait_until(condition, process: subprocess.Popen[bytes], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the stage ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = clinic(tmp_path_factory.mktemp("undisturbed") / "home", PARAMS)
    train.run(settings, NIGHT)
    return settings


@pytest.mark.fault(
    "kill and write error",
    "kill -9 in the middle of a training",
    "run again: the same weights and metrics; nothing is scored twice",
)
def test_training_killed_and_run_again_gives_the_same_weights_and_metrics(
    undisturbed: Settings, tmp_path: Path
) -> None:
    settings = clinic(tmp_path / "home", PARAMS)
    process = _start_stage(settings, train)
    _wait_until(lambda: _scored(settings) > 0, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    paid = _scored(settings)
    assert 0 < paid < _scored(undisturbed)
    assert not (settings.metrics / "train.json").exists()
    train.run(settings, NIGHT)
    for output in OUTPUTS:
        assert hash_files([settings.workspace / output]) == hash_files([undisturbed.workspace / output]), output
    assert _scored(settings) == _scored(undisturbed)
    leavings = [p for p in settings.workspace.rglob("*") if p.name.endswith((".part", ".old"))]
    assert not [p for p in leavings if "challenger" in p.name]


@pytest.mark.fault(
    "kill and write error", "kill -9 in the gate", "the champion is whole; run again: that of a clean run"
)
def test_a_gate_killed_anywhere_leaves_a_whole_champion(undisturbed: Settings, tmp_path: Path) -> None:
    settings = clinic(tmp_path / "home", PARAMS)
    process = _start_stage(settings, gate)
    _wait_until(lambda: champion.champion_folder(settings).exists(), process)
    with suppress(ProcessLookupError):  # a stage that has just ended leaves as whole a champion
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert champion.read_champion(settings).id == "ranking"
    gate.run(settings, NIGHT)
    alone = clinic(tmp_path / "alone", PARAMS)
    gate.run(alone, NIGHT)
    assert hash_files([champion.champion_folder(settings)]) == hash_files([champion.champion_folder(alone)])
