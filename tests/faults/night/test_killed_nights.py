"""A stage killed at any moment and run again gives an undisturbed night's content."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.night import night, saved_nights, stages, verify_hashes
from pipelines.runs import read_summaries
from pmlm.settings import Settings
from tests.command_line import environment
from tests.conftest import NightDone

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("killed-nights")]
WHOLE_NIGHT = """
from pipelines.night import night
from pmlm.settings import load_settings

settings = load_settings()
for pending in night.list_pending_nights(settings):
    night.run_intake(settings, pending)
night.run_night(settings, night.find_latest_night(settings))
"""
WAIT_S = 240.0


@pytest.fixture
def killed(tmp_path: Path, night_done: NightDone) -> Settings:
    """Another workspace of the same clinic, with the embedded model already converted."""
    made = Settings(home=tmp_path / "state", drops=night_done.settings.drops)
    made.home.mkdir()
    shutil.copytree(night_done.settings.embedded_llm, made.embedded_llm, symlinks=True)
    return made


@pytest.mark.fault(
    "kill and write error",
    "kill -9 in every stage of two nights, each at a random moment",
    "every recorded hash is that of a clean run; nothing pending; both nights saved",
)
@pytest.mark.timeout(1800)  # a night and a half, and a process started for each of its stages
def test_a_night_killed_in_every_stage_ends_with_the_same_content(killed: Settings, night_done: NightDone) -> None:
    undisturbed = verify_hashes.read_recorded_hashes(night_done.settings.workspace)
    usual = {
        (s.night, s.stage): s.seconds
        for n in night_done.result["nights"]
        for s in read_summaries(night_done.settings, n)
    }
    chance = random.Random(20260601)

    first, last = night_done.result["nights"]
    moments = [(first, name) for name in (*stages.INTAKE, "save")] + [(last, name) for name in (*stages.STAGES, "save")]
    for at, moment in enumerate(moments):
        kill_in(killed, moments[at:], delay_s=chance.uniform(0.0, min(usual[moment], 2.0)))
    run_to_the_end(killed)

    assert verify_hashes.read_recorded_hashes(killed.workspace) == undisturbed
    assert verify_hashes.find_changed_outs(killed.workspace) == []
    assert night.list_pending_nights(killed) == []
    assert [saved.night for saved in saved_nights.list_saved_nights(killed)] == [first, last]


def kill_in(settings: Settings, moments: list[tuple[str, str]], delay_s: float) -> None:
    """Start the night, wait until it is at the first of these moments (or past it), and a little longer; kill -9."""
    process = subprocess.Popen(
        [sys.executable, "-c", WHOLE_NIGHT], env=environment(settings), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + WAIT_S
    while not at_work(settings, process.pid, moments):
        if process.poll() is not None or time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"{moments[0]} was never reached: {process.communicate()[1].decode()}")
        time.sleep(0.02)
    time.sleep(delay_s)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def at_work(settings: Settings, pid: int, moments: list[tuple[str, str]]) -> bool:
    running = stages.read_running_stage(settings)
    return running is not None and running["pid"] == str(pid) and (running["night"], running["stage"]) in moments


def run_to_the_end(settings: Settings) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHOLE_NIGHT], env=environment(settings), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
