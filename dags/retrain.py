"""### Train a challenger, because there is cause to

Starts where a night of `nightly` gave cause (the event's `why`): enough newly answered questions, a drift verdict, age,
a changed recipe, an erasure, a request. *train → evaluate*; the evaluated challenger starts the DAG `promote`.

- **By hand?** Trigger with `{"why": "…"}`; without a reason and without cause, `train` is skipped and says so.
- Drift starts a training; it is no evidence for its result. In a terminal: `pmlm night --train`.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, chain, dag, task

from dags.tasks import CAUSE, CHALLENGER, COMMON, DROPS, load_clinic, make_stage_task

WHY = Param(None, type=["null", "string"], description="Train in the last night without cause, for this reason")


@dag(dag_id="retrain", schedule=[CAUSE], params={"drops": DROPS, "why": WHY}, doc_md=__doc__, **COMMON)
def retrain() -> None:
    @task(multiple_outputs=False)
    def train(params: dict[str, Any] | None = None, triggering_asset_events: Any = None) -> dict[str, Any]:
        from airflow.sdk.exceptions import AirflowSkipException

        from pipelines.night.schedule import scheduled_night

        settings = load_clinic(params, triggering_asset_events)
        figures = scheduled_night.train_challenger(settings, (params or {})["why"])
        if figures["status"] == "noop":
            raise AirflowSkipException(figures["detail"])
        return figures

    chain(train(), make_stage_task("evaluate", CHALLENGER))


retrain()
