"""The stages of a night in the order of dvc.yaml, each imported when it runs."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from pipelines.night import alerts
from pipelines.night.run_events import emit_run
from pipelines.runs import StageSummary
from pmlm.errors import NightError
from pmlm.settings import Settings
from pmlm.storage import write_json

StageFunction = Callable[[Settings, str], StageSummary]

#: Run once per pending drop, in date order: they ingest it.
INTAKE: dict[str, str] = {
    "records": "pipelines.records.stage",
    "trajectory": "pipelines.features.trajectory.stage",
    "features": "pipelines.features.build.stage",
    "materialise": "pipelines.features.online.materialise",
}

#: Run once, on the last ingested night: they judge drift, train, evaluate and serve.
FINISH: dict[str, str] = {
    "episodes": "pipelines.episodes.stage",
    "drift": "pipelines.monitoring.drift",
    "train": "pipelines.training.train",
    "evaluate": "pipelines.evaluation.nightly.stage",
    "gate": "pipelines.evaluation.nightly.gate",
    "drafts": "pipelines.drafts.stage",
    "package": "pipelines.packaging.release",
}

STAGES: dict[str, str] = INTAKE | FINISH


def load_stage(name: str) -> StageFunction:
    """Import the function of a stage; NightError for a name that dvc.yaml does not have."""
    if name not in STAGES:
        raise NightError(f"no stage is called {name}; the stages are {', '.join(STAGES)}")
    run: StageFunction = import_module(STAGES[name]).run
    return run


def execute_stage(settings: Settings, night: str, name: str) -> StageSummary:
    """Run one stage of one night in this process."""
    call = load_stage(name)
    if threading.current_thread() is threading.main_thread():
        # Airflow lets a task go on after SIGTERM; a stage can be killed at any moment
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with announce_stage(settings, night, name):
        return run_and_alert(settings, night, name, call)


def run_and_alert(settings: Settings, night: str, name: str, call: StageFunction) -> StageSummary:
    """Run a stage, and raise the alerts that its failure or its result gives cause to."""
    try:
        summary = call(settings, night)
    except Exception as error:
        with suppress(OSError):  # a full disk must not hide what failed
            alerts.raise_alerts(settings, [alerts.find_failure(night, name, error)])
        raise
    alerts.raise_alerts(settings, alerts.find_alerts(summary))
    return summary


@contextmanager
def announce_stage(settings: Settings, night: str, name: str) -> Iterator[None]:
    """Publish for other processes that this one runs a stage, until the block ends; emit its run's lineage."""
    since = datetime.now(UTC).isoformat()
    write_json(running_stage_path(settings), {"night": night, "stage": name, "since": since, "pid": str(os.getpid())})
    try:
        with emit_run(settings, night, name):
            yield
    finally:
        running_stage_path(settings).unlink(missing_ok=True)


def running_stage_path(settings: Settings) -> Path:
    return settings.runs / "now.json"


def read_running_stage(settings: Settings) -> dict[str, str] | None:
    """The stage that any process runs now: ``{"night", "stage", "since", "pid"}``, or None."""
    try:
        running: dict[str, str] = json.loads(running_stage_path(settings).read_text())
    except FileNotFoundError:
        return None
    return running if Path(f"/proc/{running['pid']}").exists() else None


def find_other_stage(settings: Settings) -> str | None:
    """The stage that another process runs now, as the line to show; None where none does."""
    running = read_running_stage(settings)
    if running is None or int(running["pid"]) == os.getpid():
        return None
    since = f"{running['since'][:19].replace('T', ' ')} UTC"
    return (
        f"process {running['pid']} (since {since}) runs the stage {running['stage']} of the night {running['night']} "
        f"of {settings.clinic}: nothing was done; run it again later"
    )
