"""What Airflow's tasks ask of a night: work, cause to train, a stage's figures.

The figures that a task shows on Airflow's web page are counts and the gate's figures; nobody's identifiers.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from pipelines.night import night
from pipelines.params import load_params
from pipelines.runs import StageSummary
from pipelines.training import retraining
from pmlm.night_lock import find_running_night
from pmlm.settings import Settings
from pmlm.storage import read_json

#: The stages that have nothing to do in a night without cause to train, but say why.
QUIET = ("train", "evaluate", "gate")

log = logging.getLogger(__name__)


def find_work(settings: Settings, open_dags: Sequence[str] = ()) -> list[str]:
    """Fetch what is new and list the pending nights; none, with one line in the log, where a night runs already.

    ``open_dags`` are DAGs with a run that goes on with an earlier night.
    """
    running = f"the DAG {open_dags[0]} goes on with a night: nothing was done" if open_dags else None
    if running := running or find_running_night(settings):
        log.warning("%s", running)
        return []
    night.fetch_new_drops(settings)
    return night.list_pending_nights(settings)


def decide_training(settings: Settings) -> retraining.RetrainingDecision:
    """Decide whether the last ingested night trains, after its episodes and its drift are there."""
    return retraining.decide_retraining(settings, night.find_latest_night(settings), load_params(settings))


def run_stage(settings: Settings, name: str) -> dict[str, Any]:
    """Run a stage on the last ingested night; returns its figures to show."""
    return collect_figures(settings, night.run_stage(settings, name))


def train_challenger(settings: Settings, why: str | None = None) -> dict[str, Any]:
    """Run the stage ``train``; ``why`` asks for it without cause. Not while another process runs a night."""
    if running := find_running_night(settings):
        return {"stage": "train", "status": "noop", "detail": running}
    if why:
        night.force_training(settings, why)
    return run_stage(settings, "train")


def finish_without_training(settings: Settings) -> dict[str, Any]:
    """Run the stages of ``QUIET``, which record why this night trains nothing; returns the first one's figures."""
    ran = [run_stage(settings, name) for name in QUIET]
    return ran[0]


def save_night(settings: Settings) -> dict[str, Any]:
    """Save the finished night; returns its figures to show."""
    return collect_figures(settings, night.save_night(settings))


def collect_figures(settings: Settings, summary: StageSummary) -> dict[str, Any]:
    """What a task shows of a stage; of the gate, its verdict with the paired difference and its interval."""
    shown: dict[str, Any] = {"night": summary.night, "stage": summary.stage, "status": summary.status}
    shown |= {"detail": summary.detail, "seconds": summary.seconds}
    if summary.stage != "gate":
        return shown | {"rows_in": summary.rows_in, "rows_out": summary.rows_out}
    gate = read_json(settings.metrics / "gate.json")
    return shown | {
        "verdict": gate["decision"],
        "difference": gate["value"],
        "interval": [gate["ci_low"], gate["ci_high"]],
        "confidence": gate["confidence"],
        "episodes": gate["n"],
    }
