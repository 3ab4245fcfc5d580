"""Wait for the runs that a real scheduler makes of the DAGs."""

from __future__ import annotations

import socket
import time
from typing import Any

from pipelines.night.schedule import dag_runs

WAIT_S = 1500.0


def wait_for_first_run(api: Any, dag_id: str) -> dag_runs.DagRunResult:
    """Wait for the end of the run that the scheduler makes of a DAG, by its cron or by an asset."""
    deadline = time.monotonic() + WAIT_S
    while not (runs := scheduled(api, dag_id)) or runs[0]["state"] in ("queued", "running"):
        assert time.monotonic() < deadline, f"the run of {dag_id} does not end: {runs}"
        time.sleep(1.0)
    return dag_runs.wait_for_run(api, dag_id, runs[0]["dag_run_id"])


def scheduled(api: Any, dag_id: str) -> list[dict[str, Any]]:
    """Runs that the scheduler made on its own, oldest first."""
    return list_runs(api, dag_id, "scheduled", "asset_triggered")


def list_runs(api: Any, dag_id: str, *kinds: str) -> list[dict[str, Any]]:
    """Runs of these types (``run_type``), oldest first."""
    found = api.get(f"/dags/{dag_id}/dagRuns", params={"order_by": "run_after"}).json()["dag_runs"]
    return [run for run in found if run["run_type"] in kinds]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
