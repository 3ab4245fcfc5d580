"""### One night of PMLM

*Records → trajectory → features → online store* for every pending drop, each saved as a night of its own; then
once *episodes → drift → train → evaluate → gate → drafts → package*, and the night is saved as a DVC experiment.

- **Nothing pending?** Everything after the task `pending` is skipped. **No cause to train?** `train` says why.
- **Killed?** Clear the task, or run it again. **HOLD?** The champion stays; `metrics/gate.json` has the figures.
- By hand: `pmlm stage NAME`, `pmlm night --date D`. Another clinic: trigger with `{"drops": "/path/to/its/drops"}`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Param, chain, dag, task

from dags import spark_intake

if TYPE_CHECKING:
    from airflow.sdk.types import Operator

    from pmlm.settings import Settings

RECORD = Asset("pmlm_record")  # events, features and the online store, up to the last night
EPISODES = Asset("pmlm_episodes")
CHALLENGER = Asset("pmlm_challenger")
CHAMPION = Asset("pmlm_champion")
RELEASE = Asset("pmlm_release")
NIGHT = Asset("pmlm_night")

#: The settings' ``night_cron``, passed on by ``make up``; read without loading them, to keep DAG parsing fast.
CRON = os.environ.get("PMLM_NIGHT_CRON", "0 2 * * *")


def load_clinic(params: dict[str, Any]) -> Settings:
    from pmlm.settings import load_settings

    return load_settings(drops=params["drops"])


def make_stage_task(name: str, outlets: tuple[Asset, ...] = ()) -> Operator:
    """The task of one stage, run on the last ingested night."""

    @task(task_id=name, outlets=list(outlets))
    def run(params: dict[str, Any] | None = None) -> str:
        from pipelines.night import night

        return night.run_stage(load_clinic(params), name).status

    return run()


@dag(
    dag_id="nightly",
    schedule=CRON,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "pmlm", "retries": 1, "retry_delay": timedelta(seconds=10), "pool": "pmlm_writer"},
    params={"drops": Param(None, type=["null", "string"], description="Folder of the clinic's dated drops")},
    doc_md=__doc__,
    tags=["pmlm"],
)
def nightly() -> None:
    @task.short_circuit
    def pending(params: dict[str, Any] | None = None) -> list[str]:
        from pipelines.night import night

        night.fetch_new_drops(load_clinic(params))
        return night.list_pending_nights(load_clinic(params))

    @task(outlets=[RECORD])
    def intake(day: str, params: dict[str, Any] | None = None, run_id: str | None = None) -> str:
        from pipelines.night import night

        return night.run_intake(load_clinic(params), day, run_id)

    @task(outlets=[NIGHT])
    def save(params: dict[str, Any] | None = None) -> str:
        from pipelines.night import night

        return night.save_night(load_clinic(params)).night

    chain(
        spark_intake.submit_each_day(pending(), [RECORD]) if spark_intake.CONNECTION else intake.expand(day=pending()),
        make_stage_task("episodes", outlets=(EPISODES,)),
        make_stage_task("drift"),
        make_stage_task("train", outlets=(CHALLENGER,)),
        make_stage_task("evaluate"),
        make_stage_task("gate", outlets=(CHAMPION,)),
        make_stage_task("drafts"),
        make_stage_task("package", outlets=(RELEASE,)),
        save(),
    )


nightly()
