"""Run ``pmlm night`` unless a night runs already; slow imports come after that."""

from __future__ import annotations

import json

import typer

from pipelines.night import stages
from pipelines.night.schedule import airflow_processes, dag_runs
from pmlm.errors import NightRunningError
from pmlm.night_lock import lock_night
from pmlm.settings import Settings


def run_if_alone(settings: Settings, date: str | None = None, train: bool = False, as_json: bool = False) -> None:
    """Run the pending nights, or the one of ``date``; NightRunningError where another process, or Airflow, runs one."""
    is_up = airflow_processes.is_airflow_up(settings)
    try:
        with lock_night(settings, through_airflow=is_up and date is None):
            open_run = dag_runs.find_open_run(settings) if is_up else None
            if running := open_run or stages.find_other_stage(settings):  # of an Airflow that `pmlm up` has not started
                raise NightRunningError(running)
            from pmlm.console import night_run

            night_run.run_pending_nights(settings, date, train, as_json)
    except NightRunningError as error:
        if as_json:
            typer.echo(json.dumps({"status": "running", "clinic": settings.clinic, "why": str(error)}))
        raise
