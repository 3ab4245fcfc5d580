"""The intake through Airflow's Spark provider, enabled by one setting."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from dags import spark_intake
from pmlm.settings import PROJECT

pytestmark = pytest.mark.xdist_group("airflow")

PARSED = f"""
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder={str(PROJECT / "dags")!r})
if bag.import_errors:
    print(json.dumps({{"errors": list(bag.import_errors.values())}}))
else:
    task = bag.dags["nightly"].task_dict["intake"]
    print(json.dumps({{
        "operator": task.operator_class.__name__, "before": sorted(task.upstream_task_ids),
        "after": sorted(task.downstream_task_ids), "outlets": [asset.name for asset in task.outlets],
        "pool": task.pool, "retries": task.retries,
        "arguments": {{k: v for k, v in task.partial_kwargs.items() if k in ("conn_id", "application", "env_vars")}},
    }}))
"""


@pytest.fixture(scope="module")
def parsed() -> dict:
    """The DAG as Airflow parses it with the setting, in another process: a DAG is parsed once."""
    environment = os.environ | {"PMLM_SPARK_CONNECTION": "clinic_spark"}
    done = subprocess.run([sys.executable, "-c", PARSED], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_with_the_provider_each_day_is_one_spark_submit(parsed: dict) -> None:
    pytest.importorskip(
        "airflow.providers.apache.spark", reason="no Spark provider: what Airflow would submit is not tested"
    )
    assert parsed["operator"] == "SparkSubmitOperator"
    assert parsed["arguments"] == {
        "conn_id": "clinic_spark",
        "application": str(spark_intake.APPLICATION),
        "env_vars": {"PMLM_SUBMIT_DROPS": "{{ params.drops or '' }}", "PMLM_SUBMIT_RUN": "{{ run_id }}"},
    }
    assert (parsed["before"], parsed["after"], parsed["outlets"]) == (["pending"], ["episodes"], ["pmlm_record"])
    assert parsed["pool"] == "pmlm_writer"
    assert parsed["retries"] >= 1


def test_without_the_provider_airflow_names_what_is_missing(parsed: dict) -> None:
    try:
        import airflow.providers.apache.spark  # noqa: F401
    except ImportError:
        assert "airflow.providers.apache.spark" in parsed["errors"][0] or "apache" in parsed["errors"][0]
    else:
        assert "errors" not in parsed


def test_what_is_submitted_exists_and_a_day_is_its_argument() -> None:
    assert spark_intake.APPLICATION.is_file()
    assert spark_intake._as_arguments("20260602") == ["20260602"]
