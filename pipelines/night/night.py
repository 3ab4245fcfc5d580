"""One night: ingest the pending drops in date order, then train, evaluate and serve once.

Called by the DAG's tasks and by ``pmlm night --date``. Every step can be killed and run again: a stage's result
depends on its inputs alone, and a drop counts as ingested only once its night is saved.
"""

from __future__ import annotations

import getpass
import logging
from datetime import UTC, datetime
from pathlib import Path

from pipelines import tombstones
from pipelines.monitoring.operations.build import write_operations
from pipelines.night import champion_tags, saved_nights, stages, verify_hashes
from pipelines.night.workspace import lock_workspace, write_night_params
from pipelines.runs import StageSummary, request_training, summary_path, training_request_path
from pipelines.training.champion_history import record_change
from pmlm.errors import NightError
from pmlm.settings import Settings
from pmlm.storage import hash_files, read_json, write_json

log = logging.getLogger(__name__)


def run_night(settings: Settings, night: str) -> None:
    """Run a whole night in this process, without a scheduler."""
    run_intake(settings, night)
    for name in stages.FINISH:
        run_stage(settings, name, night)
    save_night(settings, night)


def fetch_new_drops(settings: Settings) -> list[str]:
    """Fetch what is new at ``PMLM_SOURCE`` into drops, where it is set; return their dates."""
    from pipelines.fetch.stage import fetch_records

    return fetch_records(settings, settings.localize(datetime.now(UTC)).date()).drops if settings.source else []


def run_intake(settings: Settings, night: str, run: str | None = None) -> str:
    """Ingest the drop of ``night``, and any earlier pending one before it; returns ``night``.

    So neither the order of calls nor a retry matters. ``run`` names the calls that belong together: NightError at
    once where an earlier night has already failed in this run, so that it does not fail a second time.
    """
    with lock_workspace(settings):
        _finish_erasures(settings)
        for pending in _list_unsaved_intakes(settings):
            if pending <= night:
                if pending < night and run and _read_interrupted_run(settings, pending) == run:
                    raise NightError(f"night {pending} comes before and has failed")
                _ingest_drop(settings, pending, run)
    return night


def run_stage(settings: Settings, name: str, night: str | None = None) -> StageSummary:
    """Run one stage alone, by default of the last ingested night."""
    with lock_workspace(settings):
        _finish_erasures(settings)
        return _execute(settings, night or find_latest_night(settings), name)


def save_night(settings: Settings, night: str | None = None) -> StageSummary:
    """Save the finished night as a named experiment; let a running endpoint serve its release."""
    from pipelines.packaging import serving

    with lock_workspace(settings):
        chosen, ledger = night or find_latest_night(settings), hash_files([_ledger_folder(settings)])
        figures = {"finished": True, "ledger": ledger, "train_requested": _is_training_requested(settings, chosen)}
        with stages.announce_stage(settings, chosen, "save"):
            summary = saved_nights.save_experiment(settings, chosen, figures)
            champion_tags.write_tags(settings, summary.figures["experiment"])
        _write_overview(settings)
    serving.switch_to_current_release(settings)
    return summary


def restore_night(settings: Settings, night: str) -> dict[str, str]:
    """Restore a saved night and serve it; later drops are pending again.

    Returns the recomputed hashes of its data, models and metrics. A patient who was erased since does not come back.
    """
    from pipelines.packaging import serving
    from pipelines.records.log.event_log import advance_clock
    from pipelines.training import champion  # seconds: it imports torch and feast

    before = champion.read_champion(settings)
    restored = saved_nights.restore_experiment(settings, night)
    after = champion.read_champion(settings)
    if after and before:
        why, by = f"night {night} was restored", getpass.getuser()
        record_change(settings, "restore", before.id, after.id, by=by, why=why, night=night)
    with lock_workspace(settings):
        if _finish_erasures(settings):
            restored = verify_hashes.read_recorded_hashes(settings.workspace)
        advance_clock(settings)
        _execute(settings, night, "materialise")
        if "models/champion" in restored:
            if tombstones.list_tombstones(settings):  # an erasure has emptied the saved catalogues
                _execute(settings, night, "drafts")
            _execute(settings, night, "package")
    serving.switch_to_current_release(settings)
    return restored


def list_pending_nights(settings: Settings) -> list[str]:
    """The nights with work to do, in date order.

    They are those whose drop is not ingested; or the last one, while no training has used the whole ledger.
    """
    pending = _list_unsaved_intakes(settings)
    nights = list_nights(settings)
    if not pending and nights and not _is_finished(settings, nights[-1]):
        pending = [nights[-1]]
    return pending


def force_training(settings: Settings, why: str, night: str | None = None) -> str:
    """Ask for a training in a night, by default the last one that is pending or ingested; returns the night.

    The request outlives a killed night, and makes a finished night pending again.
    """
    chosen = night or next(reversed(list_pending_nights(settings)), None) or find_latest_night(settings)
    request_training(settings, chosen, why)
    return chosen


def list_nights(settings: Settings) -> list[str]:
    """The nights in the ledger, in date order."""
    return sorted(path.stem for path in _ledger_folder(settings).glob("[0-9]*.json"))


def find_latest_night(settings: Settings) -> str:
    """The last night in the ledger; NightError where there is none."""
    nights = list_nights(settings)
    if not nights:
        raise NightError(f"no night has been taken in yet from {settings.drops}")
    return nights[-1]


def _write_overview(settings: Settings) -> None:
    """Write the figures of the page ``/ops``; what hinders it must not fail a night that is saved."""
    try:
        write_operations(settings)
    except Exception as error:
        log.warning("the figures of the page /ops could not be written: %s", type(error).__name__)


def _finish_erasures(settings: Settings) -> int:
    """Finish an erasure that was killed; erase again whom a restored night has brought back. How many there were."""
    if not tombstones.folder(settings).exists():
        return 0
    from pipelines.night.forget import finish_pending

    return finish_pending(settings)


def _ingest_drop(settings: Settings, night: str, run: str | None) -> None:
    marker = _intake_marker_path(settings, night)
    write_json(marker, {"run": run})
    for name in stages.INTAKE:
        _execute(settings, night, name)
    with stages.announce_stage(settings, night, "save"):
        saved_nights.save_experiment(settings, night, {"finished": False})
    marker.unlink()


def _execute(settings: Settings, night: str, name: str) -> StageSummary:
    write_night_params(settings, night, _find_drop(settings, night))
    return stages.execute_stage(settings, night, name)


def _list_unsaved_intakes(settings: Settings) -> list[str]:
    """Nights whose drop is not in the ledger, or that were killed before their save."""
    from pipelines.records import drops

    pending = {drop.night for drop in drops.list_pending(settings)}
    unsaved = {night for night in list_nights(settings) if not summary_path(settings, night, "save").exists()}
    return sorted(pending | unsaved)


def _read_interrupted_run(settings: Settings, night: str) -> str | None:
    """The run in which the intake of this night began without ending."""
    path = _intake_marker_path(settings, night)
    return str(read_json(path)["run"]) if path.exists() else None


def _intake_marker_path(settings: Settings, night: str) -> Path:
    return settings.runs / f"{night}.begun.json"


def _is_training_requested(settings: Settings, night: str) -> bool:
    return training_request_path(settings, night).exists()


def _is_finished(settings: Settings, night: str) -> bool:
    figures = read_json(summary_path(settings, night, "save"))["figures"]
    if _is_training_requested(settings, night) and not figures.get("train_requested"):
        return False
    return bool(figures["finished"]) and figures["ledger"] == hash_files([_ledger_folder(settings)])


def _find_drop(settings: Settings, night: str) -> Path | None:
    from pipelines.records import drops

    return next((drop.path for drop in drops.list_drops(settings) if drop.night == night), None)


def _ledger_folder(settings: Settings) -> Path:
    return settings.workspace / "data" / "ledger"
