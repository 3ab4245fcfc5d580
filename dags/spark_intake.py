"""The intake submitted to a Spark cluster through Airflow's own provider, where ``PMLM_SPARK_CONNECTION`` names it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Asset
    from airflow.sdk.types import Operator

#: The settings' ``spark_connection``, passed on by ``make up``; empty: Airflow's own worker takes the drops in.
CONNECTION = os.environ.get("PMLM_SPARK_CONNECTION")
APPLICATION = Path(__file__).resolve().parents[1] / "pipelines" / "night" / "submit.py"


def submitted(days: Any, outlets: list[Asset]) -> Operator:
    """One ``spark-submit`` a day. The provider is imported only here: without it, the DAG's import error names it."""
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

    told = {"PMLM_SUBMIT_DROPS": "{{ params.drops or '' }}", "PMLM_SUBMIT_RUN": "{{ run_id }}"}
    once = SparkSubmitOperator.partial(
        task_id="intake", conn_id=CONNECTION, application=str(APPLICATION), env_vars=told, outlets=outlets
    )
    return once.expand(application_args=days.map(_alone))


def _alone(day: str) -> list[str]:
    return [day]
