"""Run a night's DAGs in this process, or through the Airflow server that is up.

They are ``nightly`` and, where it gives cause, ``retrain`` and ``promote``, which the server starts by their assets. In
this process the libraries are imported once for all stages, and Airflow's database (SQLite) records the runs for its
web page. A running scheduler would pick up such a run as its own, so then the server is asked to run it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.night import airflow_settings
from pipelines.night.schedule import dag_runs
from pmlm.errors import NightError
from pmlm.settings import PROJECT, Settings

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun


def run_in_process(settings: Settings) -> dag_runs.DagRunResult:
    """Run the DAGs one after the other in this process; only while no scheduler runs on the same database.

    Returns the last one's result.
    """
    from filelock import FileLock

    airflow_settings.configure_airflow(settings)
    with FileLock(_run_lock_path(settings)):
        prepare_database()
        fail_leftover_runs()
        from airflow.dag_processing.dagbag import DagBag

        dags = DagBag(dag_folder=str(PROJECT / "dags")).dags
        following: str | None = airflow_settings.DAG_ID
        try:
            while following:
                result = _read_result(dags[following].test(run_conf={"drops": str(settings.drops.resolve())}))
                following = result.following
        finally:
            clear_queued_runs()
        return result


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


def run_through_server(settings: Settings) -> dag_runs.DagRunResult:
    """Start ``nightly`` on the running Airflow, and wait for its end and that of the runs which its assets start."""
    with dag_runs.open_client(settings) as api:
        conf = {"drops": str(settings.drops.resolve())}
        response = api.post(f"/dags/{airflow_settings.DAG_ID}/dagRuns", json={"logical_date": None, "conf": conf})
        if response.status_code != 200:
            raise NightError(f"Airflow at {airflow_settings.page_url(settings)} refuses the run: {response.text}")
        result = dag_runs.wait_for_run(api, airflow_settings.DAG_ID, response.json()["dag_run_id"])
        while result.following:
            result = dag_runs.wait_for_run(api, result.following, dag_runs.find_started_run(api, result))
        return result


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
        ours = DagRun.dag_id.in_(airflow_settings.DAG_CHAIN)
        unfinished = select(DagRun).where(ours, DagRun.state.in_(open_states))
        for run in session.scalars(unfinished):
            run.state = DagRunState.FAILED
            for task in run.get_task_instances(session=session):
                if task.state not in State.finished:
                    task.state = TaskInstanceState.FAILED


def clear_queued_runs() -> None:
    """Forget what the assets of runs in this process have queued: a scheduler would run it a second time."""
    from airflow.models.asset import AssetDagRunQueue
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(AssetDagRunQueue).where(AssetDagRunQueue.target_dag_id.in_(airflow_settings.DAG_CHAIN)))


def log_folder(settings: Settings, result: dag_runs.DagRunResult) -> Path:
    """The folder of Airflow's task logs of a run."""
    logs = airflow_settings.airflow_home(settings) / "logs"
    return logs / f"dag_id={result.dag_id}" / f"run_id={result.run_id}"


def _read_result(run: DagRun) -> dag_runs.DagRunResult:
    tasks = ((task.task_id, str(task.state)) for task in run.get_task_instances())
    return dag_runs.DagRunResult(run.dag_id, run.run_id, str(run.state), dag_runs.join_states(tasks))


def _run_lock_path(settings: Settings) -> Path:
    return airflow_settings.airflow_home(settings) / ".run.lock"
