"""Kill a night's real process, with -9, a little into a stage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks.fortnight.plan import Kill, id_of
from pipelines.night import stages
from pipelines.packaging.bento import make_serving_environment
from pmlm.settings import PROJECT, Settings

WAIT_S = 300.0


@dataclass(frozen=True, slots=True)
class KilledNight:
    """Where a night's process was when it was killed; ``stage`` is empty where it had ended before."""

    night: int
    planned: str
    stage: str


def run_and_kill(settings: Settings, kill: Kill) -> KilledNight:
    """Start ``pmlm night`` for the night as an operator does, and kill it where the plan says, or later."""
    command = [sys.executable, "-m", "pmlm.cli.main", "night", "--date", id_of(kill.night)]
    process = subprocess.Popen(
        command, cwd=PROJECT, env=make_serving_environment(settings), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    order = [*stages.STAGES, "save"]
    late = order[order.index(kill.stage) :]
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and process.poll() is None:
        running = stages.read_running_stage(settings)
        if running and running["pid"] == str(process.pid) and running["stage"] in late:
            if running["stage"] == kill.stage:
                time.sleep(kill.delay_s)
                running = stages.read_running_stage(settings) or running
            break
        time.sleep(0.02)
    ended = process.poll() is not None
    if not ended:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return KilledNight(kill.night, kill.stage, "" if ended or running is None else running["stage"])
