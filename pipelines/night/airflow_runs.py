"""Run the ``nightly`` DAG in this process, or through the Airflow server that is up.

In this process the libraries are imported once for all stages, and Airflow's database (SQLite) records the run for
its web page. A running scheduler would pick up such a run as its own, so then the server is asked to run it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.night import airflow_settings
from pmlm.errors import NightError
from pmlm.settings import PROJECT, Settings
from pmlm.storage import read_json

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class DagRunResult:
    """How a DAG run ended: Airflow's id and state, and the failed tasks."""

    run_id: str
    state: str
    failed: tuple[str, ...]

    @property
    def succeeded(self) -> bool:
        return self.state == "success" and not self.failed


def run_in_process(settings: Settings) -> DagRunResult:
    """Run the DAG in this process; only while no scheduler runs on the same database."""
    from filelock import FileLock

    airflow_settings.configure_airflow(settings)
    with FileLock(_run_lock_path(settings)):
        prepare_database()
        fail_leftover_runs()
        from airflow.dag_processing.dagbag import DagBag

        dag = DagBag(dag_folder=str(PROJECT / "dags")).dags[airflow_settings.DAG_ID]
        return _read_result(dag.test(run_conf={"drops": str(settings.drops.resolve())}))


def is_running_elsewhere(settings: Settings) -> bool:
    """Whether another process runs the DAG in-process now."""
    from filelock import FileLock, Timeout

    lock = FileLock(_run_lock_path(settings))
    if not airflow_settings.airflow_home(settings).exists():
        return False
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def run_through_server(settings: Settings) -> DagRunResult:
    """Trigger a run of the DAG on the running Airflow and wait for its end."""
    with open_client(settings) as api:
        conf = {"drops": str(settings.drops.resolve())}
        response = api.post(f"/dags/{airflow_settings.DAG_ID}/dagRuns", json={"logical_date": None, "conf": conf})
        if response.status_code != 200:
            raise NightError(f"Airflow at {airflow_settings.page_url(settings)} refuses the run: {response.text}")
        run_id = response.json()["dag_run_id"]
        path = f"/dags/{airflow_settings.DAG_ID}/dagRuns/{run_id}"
        wait_until(lambda: api.get(path).json()["state"] in ("success", "failed"))
        tasks = api.get(f"{path}/taskInstances").json()["task_instances"]
        failed = tuple(sorted(task["task_id"] for task in tasks if task["state"] == "failed"))
        return DagRunResult(run_id, str(api.get(path).json()["state"]), failed)


def open_client(settings: Settings) -> Any:
    """An HTTP client of Airflow's REST API, logged in."""
    import httpx

    page = airflow_settings.page_url(settings)
    login = {"username": airflow_settings.USER, "password": read_password(settings)}
    token = httpx.post(f"{page}/auth/token", json=login, timeout=30, trust_env=False).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=f"{page}/api/v2", headers=headers, timeout=30, trust_env=False)


def read_password(settings: Settings) -> str:
    """The generated password of Airflow's web page."""
    return str(read_json(airflow_settings.login_path(settings)).get(airflow_settings.USER, ""))


def wait_until(done: Callable[[], bool]) -> None:
    while not done():
        time.sleep(POLL_S)


def prepare_database() -> None:
    """Migrate Airflow's database and create the pool that lets one task write at a time."""
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb

    initdb()
    Pool.create_or_update_pool(airflow_settings.POOL, 1, "One writer for a clinic's record", include_deferred=False)


def fail_leftover_runs() -> None:
    """Fail the runs of a killed process: they would block the DAG for ever."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, State, TaskInstanceState
    from sqlalchemy import select

    with create_session() as session:
        open_states = (DagRunState.RUNNING, DagRunState.QUEUED)
        unfinished = select(DagRun).where(DagRun.dag_id == airflow_settings.DAG_ID, DagRun.state.in_(open_states))
        for run in session.scalars(unfinished):
            run.state = DagRunState.FAILED
            for task in run.get_task_instances(session=session):
                if task.state not in State.finished:
                    task.state = TaskInstanceState.FAILED


def _read_result(run: DagRun) -> DagRunResult:
    failed = {task.task_id for task in run.get_task_instances() if task.state == "failed"}
    return DagRunResult(run.run_id, str(run.state), tuple(sorted(failed)))


def log_folder(settings: Settings, run_id: str) -> Path:
    """The folder of Airflow's task logs of a run."""
    return airflow_settings.airflow_home(settings) / "logs" / f"dag_id={airflow_settings.DAG_ID}" / f"run_id={run_id}"


def _run_lock_path(settings: Settings) -> Path:
    return airflow_settings.airflow_home(settings) / ".run.lock"
