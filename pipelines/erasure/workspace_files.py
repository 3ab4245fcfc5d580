"""Erase patients from the stages' outputs that lie in the workspace.

All that changes is written into a scratch folder first, then a list of it: from there on the next run only moves files
into their places, however often it is killed. Before that, nothing has changed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pipelines import tombstones
from pipelines.erasure import stage_outputs
from pipelines.erasure.stage_outputs import Erasure, Listing
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json

_ORDER = (stage_outputs.EVENTS, stage_outputs.LEDGER, stage_outputs.FEATURES, stage_outputs.EPISODES)


def list_out(folder: Path) -> Listing:
    """The files of an out in the workspace, by their names below it."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".part"))
    return {path.relative_to(folder).as_posix(): path for path in found}


def erase_outputs(settings: Settings, subjects: frozenset[int]) -> int:
    """Erase the patients from events, ledger, features and episodes; return how many files changed."""
    from pipelines.features.online import removal  # imports Feast, which takes seconds

    plan = _plan_path(settings)
    if not plan.exists():
        shutil.rmtree(_scratch(settings), ignore_errors=True)
        erasure = Erasure(subjects, _scratch(settings))
        moves: dict[str, str] = {}
        removed: list[str] = []
        for out in _ORDER:
            before = list_out(settings.workspace / out)
            after = stage_outputs.rewrite_out(out, before, erasure)
            moves |= {f"{out}/{name}": path.name for name, path in after.items() if before.get(name) != path}
            removed += [f"{out}/{name}" for name in sorted(before.keys() - after.keys())]
        served = removal.has_taken_all(settings)
        write_json(plan, {"moves": moves, "removed": removed, "served": served})
    changed = _carry_out(settings, plan)
    if read_json(plan)["served"]:
        removal.take_rewritten_files(settings)
    plan.unlink()
    shutil.rmtree(_scratch(settings), ignore_errors=True)
    return changed


def _carry_out(settings: Settings, plan: Path) -> int:
    """Move and remove what the plan lists, as far as that has not been done."""
    stated = read_json(plan)
    for name, scratch in stated["moves"].items():
        source, target = _scratch(settings) / scratch, settings.workspace / name
        if source.exists():
            source.chmod(0o600)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            source.replace(target)
    for name in stated["removed"]:
        (settings.workspace / name).unlink(missing_ok=True)
    return len(stated["moves"]) + len(stated["removed"])


def _scratch(settings: Settings) -> Path:
    return tombstones.folder(settings) / "scratch"


def _plan_path(settings: Settings) -> Path:
    return tombstones.folder(settings) / "plan.json"
