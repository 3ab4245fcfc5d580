"""Submit the intake to a Spark cluster, where ``PMLM_SPARK_CONNECTION`` names its connection."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Asset
    from airflow.sdk.types import Operator

#: The settings' ``spark_connection``, passed on by ``make up``; empty: Airflow's own worker runs the intake.
CONNECTION = os.environ.get("PMLM_SPARK_CONNECTION")
APPLICATION = Path(__file__).resolve().parents[1] / "pipelines" / "night" / "spark_submit.py"


def submit_each_day(days: Any, outlets: list[Asset]) -> Operator:
    """One ``spark-submit`` per day.

    Airflow's provider is imported only here: where it is missing, the DAG's import error names it.
    """
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

    variables = {"PMLM_SUBMIT_DROPS": "{{ params.drops or '' }}", "PMLM_SUBMIT_RUN": "{{ run_id }}"}
    once = SparkSubmitOperator.partial(
        task_id="intake", conn_id=CONNECTION, application=str(APPLICATION), env_vars=variables, outlets=outlets
    )
    return once.expand(application_args=days.map(_as_arguments))


def _as_arguments(day: str) -> list[str]:
    return [day]
