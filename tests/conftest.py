"""Fixtures of all tests: a small clinic cut from the sample, and one night of it.

Under xdist every worker is a session of its own; a file lock lets the first one do the work for all.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from pmlm.settings import PROJECT, Settings
from tests.attack_table import AttackRecorder
from tests.command_line import pmlm
from tests.small_clinic import cut

# one thread a worker: two that share two cores spend most of their time waiting for each other
os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"})


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(AttackRecorder(config))


@dataclass(frozen=True)
class NightDone:
    """A small clinic after its first night: settings, printed screen, final JSON object."""

    settings: Settings
    screen: str
    result: dict


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One folder for the whole test run, over all workers."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def small_clinic(shared_folder: Path) -> Path:
    """A drops folder: 16 women of the sample clinic, its history and one night, and little training. Do not write."""
    drops = shared_folder / "small"
    with FileLock(shared_folder / "small.lock"):
        if not (drops / "clinic.yaml").exists():
            cut(PROJECT / "examples" / "clinic", drops)
    return drops


@pytest.fixture(scope="session")
def night_done(shared_folder: Path, small_clinic: Path) -> NightDone:
    """The small clinic after ``pmlm night``, shared by all tests: read or copy it, never write."""
    home = shared_folder / "night-done"
    settings = Settings(home=home, drops=small_clinic, airflow_port=18080)
    with FileLock(shared_folder / "night-done.lock", timeout=600):
        screen = home / "screen.txt"
        if not screen.exists():
            printed = pmlm(settings, "night", "--json")
            screen.write_text(printed)
    printed = screen.read_text()
    return NightDone(settings, printed, json.loads(printed.splitlines()[-1]))
