"""Fixtures of all tests: a small clinic cut from the sample, and one night of it.

Under xdist every worker is a session of its own; a file lock lets the first one do the work for all.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

from pmlm.settings import PROJECT, Settings, load_settings
from tests.attack_table import AttackRecorder
from tests.command_line import pmlm
from tests.fault_table import FaultRecorder
from tests.small_clinic import cut

# one thread a worker: two that share two cores spend most of their time waiting for each other
os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"})
# and one worker an endpoint, but where a test asks for several: each costs ten seconds of a processor to start
os.environ["PMLM_WORKERS"] = "1"


#: Fixtures of a session that take long to make: tests of modules that use one of them run on one worker.
SHARED = ("night_done", "trained", "endpoint", "day", "two_patients")
#: Groups that begin first, in this order, so that no worker is left alone with a long one at the end.
FIRST = (*SHARED[:3], "killed-nights")


# no deadline, since the machine may be busy; tests whose examples are dear try a share of the profile's number, so that
# `pytest --hypothesis-profile thorough` tries ten times as many of all
hypothesis.settings.register_profile("usual", deadline=None)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("usual")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(AttackRecorder(config))
    config.pluginmanager.register(FaultRecorder(config))


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each module on one worker, which then makes its fixtures once, and so the modules that share a fixture."""
    shared: dict[Path, str] = {}
    for item in items:
        for fixture in SHARED:
            if fixture in getattr(item, "fixturenames", ()):
                shared.setdefault(item.path, fixture)
    groups: dict[pytest.Item, str] = {}
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        groups[item] = mark.args[0] if mark else shared.get(item.path, str(item.path.relative_to(PROJECT)))
        if mark is None:
            item.add_marker(pytest.mark.xdist_group(groups[item]))
    items.sort(key=lambda item: FIRST.index(groups[item]) if groups[item] in FIRST else len(FIRST))


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
    settings = Settings(home=home, drops=small_clinic, key_dir=home / "keys", airflow_port=18080)
    with FileLock(shared_folder / "night-done.lock", timeout=600):
        screen = home / "screen.txt"
        if not screen.exists():
            from models.llm import unpack_embedded_llm

            home.mkdir(mode=0o700, exist_ok=True)
            if not settings.embedded_llm.exists():  # unpacked once for all test runs: a minute of a processor
                settings.embedded_llm.symlink_to(unpack_embedded_llm(load_settings().embedded_llm))
            printed = pmlm(settings, "night", "--json")
            screen.write_text(printed)
    printed = screen.read_text()
    return NightDone(settings, printed, json.loads(printed.splitlines()[-1]))
