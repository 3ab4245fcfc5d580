"""Promote a challenger that waits, and roll back, in a person's name; serve the result.

The champion changes first, then the release, then the endpoint. A killed promotion is finished by the same command, a
killed rollback by ``pmlm package``.
"""

from __future__ import annotations

from pipelines.evaluation.nightly.change_plan import read_plan
from pipelines.night import champion_tags, saved_nights
from pipelines.night.night import find_latest_night
from pipelines.night.workspace import lock_workspace
from pipelines.packaging import release, release_list, serving
from pipelines.training import champion
from pipelines.training.champion import Champion
from pipelines.training.champion_history import read_history
from pmlm.errors import TrainingError
from pmlm.settings import Settings


def promote_waiting(settings: Settings, by: str, why: str) -> Champion:
    """Promote the challenger that waits, package it and serve it.

    TrainingError without a name, a reason, or a challenger that was compared with the present champion;
    ChangePlanError without a valid plan.
    """
    if not by.strip() or not why.strip():
        raise TrainingError("a promotion needs a name and a reason: pmlm promote --by NAME --why TEXT")
    with lock_workspace(settings):
        read_plan(settings)
        waiting, now = champion.read_waiting(settings), champion.read_champion(settings)
        if waiting is None or now is None:
            raise TrainingError("no challenger waits; `pmlm releases` lists what was decided")
        if now.id not in (waiting["champion"], waiting["challenger"]):
            raise TrainingError(
                f"{waiting['challenger']} was compared with {waiting['champion']}, which is not champion now"
            )
        night = find_latest_night(settings)
        why = f"{why} (the gate: {waiting['why']})"
        promoted = champion.promote(settings, night, champion.waiting_folder(settings), by=by, why=why)
        release.run(settings, night)
        version = read_history(settings)[-1].version
        champion_tags.write_tags(settings, saved_nights.save_champion(settings, f"refiner-{version}"))
        champion.drop_waiting(settings)
    serving.switch_to_current_release(settings)
    return promoted


def roll_back(settings: Settings, to: str | None, by: str, why: str) -> Champion:
    """Go back to a former champion, by default the last, and serve the newest release that has it.

    ``to`` is a champion's id or its version. Where no whole release has it, one is packaged.
    """
    with lock_workspace(settings):
        named = next((c.after for c in read_history(settings) if to == c.version), to)
        back = champion.roll_back(settings, named, by, why)
        _serve_champion(settings, back)
        champion_tags.write_tags(settings)
    serving.switch_to_current_release(settings)
    return back


def _serve_champion(settings: Settings, back: Champion) -> None:
    """Point the current release at the newest whole one with this champion, or package one."""
    current = serving.current_release(settings)
    if not current.exists():
        return  # nothing was served before
    if folder := release_list.find_whole_release(settings, back.id):
        release.point_link(current, folder)
    else:
        release.run(settings, find_latest_night(settings))
