"""### One night of PMLM: take in what has arrived

*Records → trajectory → features → online store* for every pending drop, each saved as a night of its own; then once
*episodes → drift*. With cause to train (new answered questions, drift, age, a request; `params.yaml`, `retrain`) the
task `cause` starts the DAG `retrain`, which starts `promote`. Without, the night ends here: `quiet` says why.

- **Nothing pending, or a night runs already?** Everything after the task `pending` is skipped; its log says which.
- **Killed?** Clear the task, or run it again: what was done stands.
- By hand: `pmlm stage NAME`, `pmlm night --date D`. Another clinic: trigger with `{"drops": "/path/to/its/drops"}`.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import chain, dag, task

from dags import spark_intake, tasks
from dags.tasks import load_clinic, make_stage_task

#: The settings' ``night_cron``, passed on by ``make up``; read without loading them, to keep DAG parsing fast.
CRON = os.environ.get("PMLM_NIGHT_CRON", "0 2 * * *")
FOLLOWING = ("retrain", "promote")


@dag(dag_id="nightly", schedule=CRON, params={"drops": tasks.DROPS}, doc_md=__doc__, **tasks.COMMON)
def nightly() -> None:
    @task.short_circuit
    def pending(params: dict[str, Any] | None = None, ti: Any = None) -> list[str]:
        from pipelines.night.schedule import scheduled_night

        unended = [name for name in FOLLOWING if ti.get_dr_count(name, states=["queued", "running"])]
        return scheduled_night.find_work(load_clinic(params), unended)

    @task(outlets=[tasks.RECORD])
    def intake(day: str, params: dict[str, Any] | None = None, run_id: str | None = None) -> str:
        from pipelines.night import night

        return night.run_intake(load_clinic(params), day, run_id)

    @task.branch
    def decide(params: dict[str, Any] | None = None, ti: Any = None) -> str:
        from pipelines.night.schedule import scheduled_night

        decision = scheduled_night.decide_training(load_clinic(params))
        ti.xcom_push(key="why", value=decision.why)
        return "cause" if decision.due else "quiet"

    @task(outlets=[tasks.CAUSE], multiple_outputs=False)
    def cause(params: dict[str, Any] | None = None, outlet_events: Any = None, ti: Any = None) -> dict[str, Any]:
        why = ti.xcom_pull(task_ids="decide", key="why")
        return tasks.announce(outlet_events, (tasks.CAUSE,), load_clinic(params), {"why": why})

    @task(multiple_outputs=False)
    def quiet(params: dict[str, Any] | None = None) -> dict[str, Any]:
        from pipelines.night.schedule import scheduled_night

        return scheduled_night.finish_without_training(load_clinic(params))

    days, decided = pending(), decide()
    chain(
        spark_intake.submit_each_day(days, [tasks.RECORD]) if spark_intake.CONNECTION else intake.expand(day=days),
        make_stage_task("episodes", tasks.EPISODES),
        make_stage_task("drift"),
        decided,
    )
    chain(decided, cause())
    chain(decided, quiet(), *tasks.make_release_tasks())


nightly()
