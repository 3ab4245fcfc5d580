"""A real scheduler, with nobody's help, runs the night that is due, and what its assets start."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.night import airflow_settings, night, stages
from pipelines.night.schedule import airflow_processes, dag_runs
from pipelines.packaging import serving
from pipelines.runs import read_summaries
from pmlm.settings import PROJECT, Settings
from pmlm.storage import read_json
from tests.conftest import NightDone
from tests.dags.scheduler import free_port, scheduled, wait_for_first_run
from tests.small_clinic import cut

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("airflow"), pytest.mark.timeout(900)]


@pytest.fixture
def one_more_night(tmp_path: Path, night_done: NightDone) -> Settings:
    """The small clinic after its last night, with one pending drop and cause to train."""
    drops = tmp_path / "small"
    cut(PROJECT / "examples" / "clinic", drops, nights=3)
    home = tmp_path / "state"
    shutil.copytree(night_done.settings.home, home, ignore=shutil.ignore_patterns("airflow"), symlinks=True)
    settings = Settings(home=home, drops=drops, port=free_port(), airflow_port=free_port())
    night.force_training(settings, "asked for by this test")
    return settings


@pytest.fixture
def airflow_up(one_more_night: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    airflow_processes.start_airflow(one_more_night)
    yield one_more_night
    airflow_processes.stop_airflow(one_more_night)


def test_the_scheduler_runs_the_night_that_is_due_and_its_assets_train_and_promote(airflow_up: Settings) -> None:
    (waiting,) = night.list_pending_nights(airflow_up)
    with dag_runs.open_client(airflow_up) as api:
        while not scheduled(api, airflow_settings.DAG_ID):
            time.sleep(1.0)
        assert "Airflow's DAG nightly (run scheduled__" in str(dag_runs.find_open_run(airflow_up))
        ended = {dag_id: wait_for_first_run(api, dag_id) for dag_id in airflow_settings.DAG_CHAIN}
        assert dag_runs.find_started_run(api, ended["nightly"]) == ended["retrain"].run_id
        assert dag_runs.find_open_run(airflow_up) is None
        gate = api.get(f"/dags/promote/dagRuns/{ended['promote'].run_id}/taskInstances/gate/xcomEntries/return_value")
    assert {dag_id: run.state for dag_id, run in ended.items()} == dict.fromkeys(ended, "success")
    done = {task for run in ended.values() for task, state in run.tasks.items() if state == "success"}
    assert done >= {"pending", "intake", *list(stages.FINISH), "cause", "save"}
    assert ended["nightly"].tasks["quiet"] == "skipped"
    assert gate.json()["value"]["verdict"] == read_json(airflow_up.metrics / "gate.json")["decision"]
    assert night.list_nights(airflow_up)[-1] == waiting
    assert night.list_pending_nights(airflow_up) == []
    assert {s.stage: s.status for s in read_summaries(airflow_up, waiting)}["train"] == "done"
    assert read_json(serving.current_release(airflow_up) / "release.json")["night"] == waiting

    left = airflow_processes.find_processes(airflow_up)
    assert airflow_processes.stop_airflow(airflow_up)
    assert not [process for process in left if process.is_running()]
    assert not airflow_processes.stop_airflow(airflow_up), "a second stop finds nothing to do"


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
