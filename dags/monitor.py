"""### What the endpoint did, by the hour

Counts the interaction log of yesterday and today by the hour (latency, errors, red flags, withheld answers, answers
without personalisation, prompt length; no text), and raises an alert where the last records are more than two days old.

Then it writes the figures of the page `/ops` again (by hand: `pmlm ops`).

- The figures: `monitoring/traffic/DAY.jsonl` and, for Prometheus, `monitoring/traffic.prom`. By hand: `pmlm traffic`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import dag, task

from dags.tasks import DROPS, load_clinic


@dag(
    dag_id="monitor",
    schedule="5 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "pmlm", "retries": 1, "retry_delay": timedelta(seconds=10)},
    params={"drops": DROPS},
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

    @task
    def overview(params: dict[str, Any] | None = None) -> int:
        from pipelines.monitoring.operations.build import count_points, write_operations

        return count_points(write_operations(load_clinic(params)))

    [traffic(), freshness()] >> overview()


monitor()
