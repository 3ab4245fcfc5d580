"""What the DAGs share: assets, a run's clinic, and the task of a stage.

``nightly`` ends in CAUSE where there is cause to train, ``retrain`` starts on CAUSE and ends in CHALLENGER, ``promote``
starts on CHALLENGER and ends in NIGHT. An event says which clinic it is of, and shows the stage's figures.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Param, task

if TYPE_CHECKING:
    from airflow.sdk.types import Operator

    from pmlm.settings import Settings

RECORD = Asset("pmlm_record")  # events, features and the online store, up to the last night
EPISODES = Asset("pmlm_episodes")
CAUSE = Asset("pmlm_cause")  # to train: new questions, drift, age, a request
CHALLENGER = Asset("pmlm_challenger")  # trained and evaluated
CHAMPION = Asset("pmlm_champion")  # judged: the event has the verdict
RELEASE = Asset("pmlm_release")
NIGHT = Asset("pmlm_night")

DROPS = Param(None, type=["null", "string"], description="Folder of the clinic's dated drops")

#: Of every DAG that works on a clinic's night.
COMMON: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"owner": "pmlm", "retries": 1, "retry_delay": timedelta(seconds=10), "pool": "pmlm_writer"},
    "tags": ["pmlm"],
}


def load_clinic(params: dict[str, Any] | None, events: Any = None) -> Settings:
    """The settings of the clinic that a run was started for; else of the newest event that started it."""
    from pmlm.settings import load_settings

    started_by = sorted((e for found in (events or {}).values() for e in found), key=lambda event: event.timestamp)
    return load_settings(drops=(params or {}).get("drops") or next((e.extra["drops"] for e in started_by[-1:]), None))


def announce(events: Any, outlets: tuple[Asset, ...], settings: Settings, figures: dict[str, Any]) -> dict[str, Any]:
    """Show the figures in the events of the assets; returns them."""
    for outlet in outlets:
        events[outlet].extra = {"drops": str(settings.drops.resolve()), **figures}
    return figures


def make_stage_task(name: str, *outlets: Asset) -> Operator:
    """The task of one stage, run on the last ingested night."""

    @task(task_id=name, outlets=list(outlets), multiple_outputs=False)
    def run(
        params: dict[str, Any] | None = None, triggering_asset_events: Any = None, outlet_events: Any = None
    ) -> dict[str, Any]:
        from pipelines.night.schedule import scheduled_night

        settings = load_clinic(params, triggering_asset_events)
        return announce(outlet_events, outlets, settings, scheduled_night.run_stage(settings, name))

    return run()


def make_release_tasks() -> list[Operator]:
    """The tasks that end a night, with a challenger or without: its drafts, its release, and its save."""

    @task(outlets=[NIGHT], multiple_outputs=False)
    def save(
        params: dict[str, Any] | None = None, triggering_asset_events: Any = None, outlet_events: Any = None
    ) -> dict[str, Any]:
        from pipelines.night.schedule import scheduled_night

        settings = load_clinic(params, triggering_asset_events)
        return announce(outlet_events, (NIGHT,), settings, scheduled_night.save_night(settings))

    return [make_stage_task("drafts"), make_stage_task("package", RELEASE), save()]
