"""Two nights at once: one runs, the other ends at once, changes nothing, and says which runs and since when."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.night import stages
from pipelines.night.schedule import scheduled_night
from pmlm.console.one_night import run_if_alone
from pmlm.errors import NightRunningError
from pmlm.night_lock import find_running_night, lock_night
from pmlm.settings import Settings
from pmlm.storage import write_json
from pmlm.workspace_lock import lock_writing
from tests.command_line import environment

NIGHT = "2026-06-01"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    drop = tmp_path / "clinic" / NIGHT
    drop.mkdir(parents=True)
    (drop / "Patient.ndjson").write_text('{"resourceType": "Patient", "id": "p1"}\n')
    return Settings(home=tmp_path / "state", drops=drop.parent, key_dir=tmp_path / "state" / "keys")


@pytest.fixture
def first(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """A real ``pmlm night`` in the midst of its night: it waits for this process, which writes the workspace."""
    with lock_writing(settings):
        process = start(settings)
        assert process.stdout is not None
        assert "PMLM" in process.stdout.readline(), process.communicate()  # its heading: the night has begun
        yield process
        process.kill()
        process.wait()


def start(settings: Settings, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pmlm.cli.main", "night", "--date", NIGHT, *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment(settings), text=True, **pipes)


@pytest.mark.fault(
    "two at once",
    "a second night beside a running one, then the first killed",
    "the second ends with 75 and names the first, which goes on; no lock is left",
)
def test_a_second_night_ends_at_once_with_75_and_names_the_first(
    settings: Settings, first: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    second = start(settings, "--json")
    printed, complaint = second.communicate()
    assert second.returncode == os.EX_TEMPFAIL == 75
    since = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    named = rf"pmlm: `.*night` \(process {first.pid}, since {since}\) runs the night 20260601"
    assert re.match(named, complaint), complaint
    assert len(complaint.splitlines()) == 1
    assert json.loads(printed)["status"] == "running"

    with caplog.at_level(logging.WARNING):
        assert scheduled_night.find_work(settings) == [], "a night of Airflow's ends too"
    assert f"process {first.pid}" in caplog.text
    assert scheduled_night.train_challenger(settings, "asked for")["status"] == "noop"
    assert not list(settings.runs.glob("*.train.json"))
    assert first.poll() is None, "the first goes on"

    first.kill()
    first.wait()
    assert find_running_night(settings) is None, "a killed night leaves no lock"
    assert scheduled_night.find_work(settings) == ["20260601"]


def test_airflows_night_does_nothing_while_its_own_other_dags_go_on(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert scheduled_night.find_work(settings, ["retrain"]) == []
    assert "the DAG retrain goes on with a night" in caplog.text


def test_a_night_ends_at_once_while_an_airflow_elsewhere_runs_a_stage(settings: Settings) -> None:
    now = {"night": "20260601", "stage": "train", "since": "2026-06-02T02:00:07.1+00:00", "pid": str(os.getppid())}
    write_json(stages.running_stage_path(settings), now)
    named = rf"process {os.getppid()} \(since 2026-06-02 02:00:07 UTC\) runs the stage train of the night 20260601"
    with pytest.raises(NightRunningError, match=named):
        run_if_alone(settings)


def test_a_night_that_waits_for_airflow_lets_airflows_tasks_in_and_no_second_one(settings: Settings) -> None:
    with lock_night(settings, through_airflow=True):
        assert find_running_night(settings) is None
        with pytest.raises(NightRunningError), lock_night(settings):
            pass
    with lock_night(settings):
        pass
