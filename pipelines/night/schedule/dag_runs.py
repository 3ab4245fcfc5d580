"""How a DAG's run ended or goes on, by Airflow's REST API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipelines.night import airflow_settings
from pmlm.errors import NightError
from pmlm.settings import Settings
from pmlm.storage import read_json

POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class DagRunResult:
    """How a DAG run ended: the DAG, Airflow's id and state, and its tasks by state."""

    dag_id: str
    run_id: str
    state: str
    tasks: dict[str, str]

    @property
    def failed(self) -> list[str]:
        return sorted(task for task, state in self.tasks.items() if state == "failed")

    @property
    def succeeded(self) -> bool:
        return self.state == "success" and not self.failed

    @property
    def following(self) -> str | None:
        """The DAG that this run's assets start, if any."""
        task = airflow_settings.DAG_CHAIN[self.dag_id]
        started = self.succeeded and task is not None and self.tasks.get(task) == "success"
        chain = list(airflow_settings.DAG_CHAIN)
        return chain[chain.index(self.dag_id) + 1] if started else None


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


def wait_for_run(api: Any, dag_id: str, run_id: str) -> DagRunResult:
    """Wait for a run's end."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}"
    wait_until(lambda: api.get(path).json()["state"] in ("success", "failed"))
    found = api.get(f"{path}/taskInstances").json()["task_instances"]
    tasks = join_states((task["task_id"], str(task["state"])) for task in found)
    return DagRunResult(dag_id, run_id, str(api.get(path).json()["state"]), tasks)


def find_started_run(api: Any, result: DagRunResult) -> str:
    """The id of the run that a run's asset has started, once the scheduler has; NightError where its DAG is paused."""
    dag_id = result.following
    wanted = {"source_dag_id": result.dag_id, "source_run_id": result.run_id}
    while True:
        events = api.get("/assets/events", params=wanted).json()["asset_events"]
        for run in (run for event in events for run in event["created_dagruns"]):
            if run["dag_id"] == dag_id:
                return str(run["run_id"])
        if api.get(f"/dags/{dag_id}").json().get("is_paused"):
            raise NightError(f"Airflow's DAG {dag_id} is paused, and the night waits for it: unpause it")
        time.sleep(POLL_S)


def find_open_run(settings: Settings) -> str | None:
    """The run of this clinic's night that goes on in the Airflow that is up, as the line to show; None without one."""
    clinic = read_json(airflow_settings.record_path(settings))["clinic"]
    with open_client(settings) as api:
        for dag_id in airflow_settings.DAG_CHAIN:
            found = api.get(f"/dags/{dag_id}/dagRuns", params={"state": ["queued", "running"]}).json()
            for run in found.get("dag_runs", ()):
                drops = _find_drops(api, run)
                if drops == str(settings.drops.resolve()) or (drops is None and clinic == settings.clinic):
                    since = str(run["start_date"] or run["run_after"])[:19].replace("T", " ")
                    return (
                        f"Airflow's DAG {dag_id} (run {run['dag_run_id']}, since {since} UTC) runs a night of "
                        f"{settings.clinic}: nothing was done; run it again later"
                    )
    return None


def wait_until(done: Callable[[], bool]) -> None:
    while not done():
        time.sleep(POLL_S)


def join_states(tasks: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Task → state; a task that runs several times has failed where one of them has."""
    joined: dict[str, str] = {}
    for task, state in tasks:
        joined[task] = state if joined.get(task) != "failed" else "failed"
    return joined


def _find_drops(api: Any, run: dict[str, Any]) -> str | None:
    """The clinic's folder that a person or an asset's event has started a run for; None: Airflow's own clinic."""
    if drops := (run.get("conf") or {}).get("drops"):
        return str(drops)
    path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/upstreamAssetEvents"
    events = api.get(path).json().get("asset_events", ()) if run["run_type"] == "asset_triggered" else ()
    return next((str(drops) for event in events if (drops := (event.get("extra") or {}).get("drops"))), None)
