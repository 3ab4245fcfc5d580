"""Collect the names in the schedule and in the files of whole stages.

Both run with stand-ins for the reward's scorer, the trajectory's training, and Airflow.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, patch

import dags
from dags import spark_intake
from models.patient.forecaster import train_forecaster
from models.refiner.best_of_k import BestOfKCurves
from models.reward.terms import Scorer, SentenceScores, Trial
from pipelines.episodes import episode_file
from pipelines.evaluation.nightly import gate
from pipelines.evaluation.nightly import stage as evaluate
from pipelines.features.trajectory import model_store, sequences
from pipelines.features.trajectory import stage as trajectory
from pipelines.night.airflow_settings import DAG_CHAIN, DAG_ID, POOL
from pipelines.runs import summary_path
from pipelines.training import scorer_choice, train
from pmlm.settings import PROJECT, Settings
from tests.little_episodes import NIGHT, clinic
from tests.unit.persisted.file_names import forecaster
from tests.unit.persisted.shapes import json_names, names_in

ALIKE = -1.0  # nats: what every sentence scores here
SPARK = "airflow.providers.apache.spark.operators.spark_submit"


class EvenScorer:
    """A scorer for which all replies are equally likely."""

    id = "even"

    def score_sentences(self, trials: list[Trial]) -> list[SentenceScores]:
        """Return the same score for every sentence."""
        return [SentenceScores((ALIKE,) * len(t.reply), (1,) * len(t.reply)) for t in trials]


@contextmanager
def _even(settings: Settings) -> Iterator[tuple[Scorer, Callable[[Scorer], Scorer]]]:
    yield EvenScorer(), lambda scorer: scorer  # type: ignore[misc]


def night_metrics(tmp: Path) -> list[str]:
    """Collect the evaluation's row names, and the keys of metrics and stage summaries."""
    found = []
    for status in ("done", "hold"):
        settings = clinic(tmp / status, {"train": {"method": "fixed"}}, held_out=6)  # type: ignore[dict-item]
        if status == "hold":
            episode_file.write_episodes(settings, [])
        with patch.object(scorer_choice, "open_scorer", _even):
            for stage in (train, evaluate, gate):
                stage.run(settings, NIGHT)
        for name in ("train", "evaluation", "gate"):
            found += names_in(settings.metrics / f"{name}.json", f"metrics/{name}.json ")
        for name in ("train", "evaluate", "gate"):
            found += names_in(summary_path(settings, NIGHT, name), f"runs/{name}.json ")
        evaluated = json.loads((settings.metrics / "evaluation.json").read_text())
        found += [f"evaluation row {row['row']} {row['name']} {row['split']}" for row in evaluated["rows"]]
    distilled = train.TrainingMetrics("fresh", 0, 0, distilled=BestOfKCurves())
    return [*found, *(f"metrics/train.json {name}" for name in json_names(train.round_metrics(distilled)))]


def trajectory_version(tmp: Path) -> list[str]:
    """Collect the keys of the trajectory's ``current.json`` and stage summary, with and without a model."""
    found = []
    patients = [SimpleNamespace(days=[0])] * trajectory.FEWEST_PATIENTS
    for read in (SimpleNamespace(train=patients, centres=None), None):
        settings = clinic(tmp / ("none" if read is None else "some"))
        with (
            patch.object(trajectory, train_forecaster.__name__, MagicMock(return_value=forecaster())),
            patch.object(sequences, "select_training_records", MagicMock(return_value=read)),
        ):
            trajectory.run(settings, NIGHT)
        found += names_in(model_store.model_folder(settings) / model_store.CURRENT, f"{model_store.CURRENT} ")
        found += names_in(summary_path(settings, NIGHT, "trajectory"), "runs/trajectory.json ")
    return found


def schedule(tmp: Path) -> list[str]:
    """Collect ids of the DAGs, their tasks and assets, their parameters and pool, from ``dags/``."""
    found: list[str] = [f"dag of the commands {DAG_ID}", f"pool {POOL}"]
    for connection in (None, "spark"):
        with (
            patch.dict("sys.modules", {"airflow.sdk": _airflow(found), SPARK: _spark(found)}),
            patch.object(spark_intake, "CONNECTION", connection),
            _reload_shared_tasks(),
        ):
            for name in DAG_CHAIN:
                runpy.run_path(str(PROJECT / "dags" / f"{name}.py"))
    return found


@contextmanager
def _reload_shared_tasks() -> Iterator[None]:
    """Let the DAGs load ``dags.tasks`` again, whose assets too are noted; afterwards nothing of it stays."""
    before = sys.modules.pop("dags.tasks", None)
    vars(dags).pop("tasks", None)
    try:
        yield
    finally:
        sys.modules.pop("dags.tasks", None)
        vars(dags).pop("tasks", None)
        if before:
            sys.modules["dags.tasks"] = dags.tasks = before


def _airflow(found: list[str]) -> ModuleType:
    """Return a stand-in for ``airflow.sdk`` that notes every id."""

    def task(function: Any = None, **given: Any) -> Any:
        if function is None:
            return partial(task, **given)
        found.append(f"task {given.get('task_id', function.__name__)}")
        return MagicMock()

    def dag(**given: Any) -> Any:
        found.extend([f"dag {given['dag_id']}", f"dag pool {given['default_args']['pool']}"])
        found.extend(
            [f"dag tag {tag}" for tag in given["tags"]] + [f"dag parameter {name}" for name in given["params"]]
        )
        return lambda function: function

    def asset(name: str) -> str:
        found.append(f"asset {name}")
        return name

    task.short_circuit = task.branch = task  # type: ignore[attr-defined]
    module = ModuleType("airflow.sdk")
    vars(module).update(Asset=asset, Param=MagicMock(), chain=MagicMock(), dag=dag, task=task)
    return module


def _spark(found: list[str]) -> ModuleType:
    """Return a stand-in for Airflow's Spark provider that notes task id and environment variables."""

    def partial_operator(**given: Any) -> Any:
        found.extend([f"spark task {given['task_id']}", *(f"spark variable {name}" for name in given["env_vars"])])
        return MagicMock()

    module = ModuleType(SPARK)
    vars(module).update(SparkSubmitOperator=SimpleNamespace(partial=partial_operator))
    return module


FAMILIES = (night_metrics, trajectory_version, schedule)
