"""One night: take in every pending drop in date order, each as its own night, then learn and serve once.

Called by the DAG's tasks and by ``pmlm night --date``. Every step can be killed and run again: a stage's
result depends on its inputs alone, and a drop counts as taken in only when its night has been saved.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.night import saved_nights, stages
from pipelines.night.workspace import lock_workspace, write_night_params
from pipelines.runs import StageSummary, summary_path
from pmlm.errors import NightError
from pmlm.settings import Settings
from pmlm.storage import content_hash, read_json, write_json


def list_pending_nights(settings: Settings) -> list[str]:
    """The nights with work to do, in date order: drops to take in, and a last night that has not learnt from all."""
    waiting = _list_unfinished_intakes(settings)
    taken = list_nights(settings)
    if not waiting and taken and not _is_finished(settings, taken[-1]):
        waiting = [taken[-1]]
    return waiting


def list_nights(settings: Settings) -> list[str]:
    """The nights in the ledger, in date order."""
    return sorted(path.stem for path in _ledger_folder(settings).glob("[0-9]*.json"))


def find_latest_night(settings: Settings) -> str:
    """The last night taken in."""
    taken = list_nights(settings)
    if not taken:
        raise NightError(f"no night has been taken in yet from {settings.drops}")
    return taken[-1]


def run_intake(settings: Settings, night: str, run: str | None = None) -> str:
    """Take in this night's drop, and before it any earlier one that still waits; the night.

    So neither the order of the calls nor a retry matters. ``run_night`` names the calls that belong together: where an
    earlier night has failed in the same run, NightError at once, so that its failure is not lived through again.
    """
    with lock_workspace(settings):
        for earlier in _list_unfinished_intakes(settings):
            if earlier <= night:
                if earlier < night and run and _read_interrupted_run(settings, earlier) == run:
                    raise NightError(f"night {earlier} comes before and has failed")
                _run_intake_stages(settings, earlier, run)
    return night


def run_stage(settings: Settings, name: str, night: str | None = None) -> StageSummary:
    """Run one stage alone, by default of the last night taken in."""
    with lock_workspace(settings):
        return _run_stage_of(settings, night or find_latest_night(settings), name)


def save_night(settings: Settings, night: str | None = None) -> StageSummary:
    """Keep the night, which has learnt from all that was taken in, as a named experiment; serve it if we serve."""
    from pipelines.packaging import serving

    with lock_workspace(settings):
        chosen, learnt_from = night or find_latest_night(settings), content_hash([_ledger_folder(settings)])
        with stages.announce_stage(settings, chosen, "save"):
            summary = saved_nights.save_experiment(settings, chosen, {"finished": True, "ledger": learnt_from})
    serving.switch_to_current(settings)
    return summary


def restore_night(settings: Settings, night: str) -> dict[str, str]:
    """Bring a saved night back and serve it: the hashes of its data, models and metrics, computed anew.

    Later drops count as pending again.
    """
    from pipelines.packaging import serving
    from pipelines.records.log import clock

    restored = saved_nights.restore_experiment(settings, night)
    with lock_workspace(settings):
        clock.advance(settings)
        _run_stage_of(settings, night, "materialise")
        if "models/champion" in restored:
            _run_stage_of(settings, night, "package")
    serving.switch_to_current(settings)
    return restored


def run_night(settings: Settings, night: str) -> None:
    """The whole of one night in this process, without a scheduler."""
    run_intake(settings, night)
    for name in stages.FINISH:
        run_stage(settings, name, night)
    save_night(settings, night)


def _list_unfinished_intakes(settings: Settings) -> list[str]:
    """Drops whose content the ledger does not have, and nights that were killed before they were saved."""
    from pipelines.records import drops

    waiting = {drop.night for drop in drops.pending(settings)}
    cut_short = {night for night in list_nights(settings) if not summary_path(settings, night, "save").exists()}
    return sorted(waiting | cut_short)


def _run_intake_stages(settings: Settings, night: str, run: str | None) -> None:
    begun = _intake_marker_path(settings, night)
    write_json(begun, {"run": run})
    for name in stages.INTAKE:
        _run_stage_of(settings, night, name)
    with stages.announce_stage(settings, night, "save"):
        saved_nights.save_experiment(settings, night, {"finished": False})
    begun.unlink()


def _read_interrupted_run(settings: Settings, night: str) -> str | None:
    """The run in which taking in this night has begun and not ended."""
    path = _intake_marker_path(settings, night)
    return str(read_json(path)["run"]) if path.exists() else None


def _intake_marker_path(settings: Settings, night: str) -> Path:
    return settings.runs / f"{night}.begun.json"


def _is_finished(settings: Settings, night: str) -> bool:
    figures = read_json(summary_path(settings, night, "save"))["figures"]
    return bool(figures["finished"]) and figures["ledger"] == content_hash([_ledger_folder(settings)])


def _run_stage_of(settings: Settings, night: str, name: str) -> StageSummary:
    write_night_params(settings, night, _find_drop(settings, night))
    return stages.execute_stage(settings, night, name)


def _find_drop(settings: Settings, night: str) -> Path | None:
    from pipelines.records import drops

    return next((drop.path for drop in drops.drops(settings) if drop.night == night), None)


def _ledger_folder(settings: Settings) -> Path:
    return settings.workspace / "data" / "ledger"
