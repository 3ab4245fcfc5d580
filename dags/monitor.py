"""### What the endpoint did, by the hour

Counts the interaction log of yesterday and today by the hour (latency, errors, red flags, withheld answers, answers
without personalisation, prompt length; no text), and raises an alert where the last records are more than two days old.

- The figures: `monitoring/traffic/DAY.jsonl` and, for Prometheus, `monitoring/traffic.prom`. By hand: `pmlm traffic`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag, task

if TYPE_CHECKING:
    from pmlm.settings import Settings


def load_clinic(params: dict[str, Any] | None) -> Settings:
    from pmlm.settings import load_settings

    return load_settings(drops=(params or {})["drops"])


@dag(
    dag_id="monitor",
    schedule="5 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "pmlm", "retries": 1, "retry_delay": timedelta(seconds=10)},
    params={"drops": Param(None, type=["null", "string"], description="Folder of the clinic's dated drops")},
    doc_md=__doc__,
    tags=["pmlm"],
)
def monitor() -> None:
    @task
    def traffic(params: dict[str, Any] | None = None) -> int:
        from pipelines.monitoring.traffic import measure_day

        settings, today = load_clinic(params), datetime.now(UTC).date()
        return sum(len(measure_day(settings, today - timedelta(days=ago))) for ago in (1, 0))

    @task
    def freshness(params: dict[str, Any] | None = None) -> int:
        from pipelines.night import alerts

        return alerts.check_freshness(load_clinic(params), datetime.now(UTC))

    traffic()
    freshness()


monitor()
