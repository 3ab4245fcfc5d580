"""A real scheduler, with nobody's help, runs the night that is due."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.night import airflow_processes, airflow_runs, airflow_settings, night
from pipelines.runs import read_summaries
from pmlm.settings import PROJECT, Settings
from tests.conftest import NightDone
from tests.small_clinic import cut

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("airflow")]
WAIT_S = 400.0


@pytest.fixture
def one_more_night(tmp_path: Path, night_done: NightDone) -> Settings:
    """The small clinic after its last night, with one pending drop."""
    drops = tmp_path / "small"
    cut(PROJECT / "examples" / "clinic", drops, nights=3)
    home = tmp_path / "state"
    shutil.copytree(night_done.settings.home, home, ignore=shutil.ignore_patterns("airflow"), symlinks=True)
    return Settings(home=home, drops=drops, port=free_port(), airflow_port=free_port())


@pytest.fixture
def airflow_up(one_more_night: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    airflow_processes.start_airflow(one_more_night)
    yield one_more_night
    airflow_processes.stop_airflow(one_more_night)


def test_the_scheduler_runs_the_night_that_is_due(airflow_up: Settings) -> None:
    (waiting,) = night.list_pending_nights(airflow_up)
    with airflow_runs.open_client(airflow_up) as api:
        deadline = time.monotonic() + WAIT_S
        while not (runs := scheduled(api)) or runs[0]["state"] in ("queued", "running"):
            assert time.monotonic() < deadline, f"the scheduled run does not end: {runs}"
            time.sleep(1.0)
        tasks = api.get(f"/dags/{airflow_settings.DAG_ID}/dagRuns/{runs[0]['dag_run_id']}/taskInstances").json()
    assert runs[0]["state"] == "success", {t["task_id"]: t["state"] for t in tasks["task_instances"]}
    assert {t["state"] for t in tasks["task_instances"]} == {"success"}
    assert night.list_nights(airflow_up)[-1] == waiting
    assert night.list_pending_nights(airflow_up) == []
    quiet = {s.stage: s.status for s in read_summaries(airflow_up, waiting) if s.stage in ("train", "evaluate")}
    assert quiet == {"train": "noop", "evaluate": "noop"}, "a night without cause trains nothing"

    left = airflow_processes.find_processes(airflow_up)
    assert airflow_processes.stop_airflow(airflow_up)
    assert not [process for process in left if process.is_running()]
    assert not airflow_processes.stop_airflow(airflow_up), "a second stop finds nothing to do"


def scheduled(api: object) -> list[dict]:
    """Runs of the night that the scheduler made on its own."""
    found = api.get(f"/dags/{airflow_settings.DAG_ID}/dagRuns").json()["dag_runs"]  # type: ignore[attr-defined]
    return [run for run in found if run["run_type"] == "scheduled"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_login_and_the_secrets_of_airflow_are_for_its_owner_alone(airflow_home: Path) -> None:
    for name in ("login.json", "jwt.secret", "session.secret"):
        assert (airflow_home / name).stat().st_mode & 0o077 == 0, name
    assert len((airflow_home / "jwt.secret").read_text()) >= 64
    assert airflow_home.stat().st_mode & 0o077 == 0


@pytest.fixture
def airflow_home(tmp_path: Path) -> Path:
    settings = Settings(home=tmp_path / "home")
    airflow_settings.make_airflow_environment(settings)
    return airflow_settings.airflow_home(settings)
