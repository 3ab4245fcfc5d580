"""Whether a night has cause to train: one rule for every scheduler.

A challenger is trained where none was before, on request, or where since the last training enough questions were
answered, a family began to drift, what a training reads has changed, a patient it had learnt from was erased, or
enough nights have passed (``params.yaml``, ``retrain``). Only records of this night and earlier ones count, so a night
that runs again decides as before, unless a patient was erased meanwhile. Drift that only lasts starts no second
training: each would be another look at the gate's questions, on almost the same records. Drift starts a training and is
no evidence for its result: the gate does not read it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from models.refiner import checkpoint
from pipelines import tombstones
from pipelines.night_dates import parse_night
from pipelines.params import Params
from pipelines.runs import summary_path, training_request_path
from pipelines.training.provenance import current_provenance
from pmlm.settings import Settings
from pmlm.storage import read_json

DRIFT = "drift"


@dataclass(frozen=True, slots=True)
class RetrainingDecision:
    """Whether to train tonight, and why or why not, in words."""

    due: bool
    why: str


def decide_retraining(settings: Settings, night: str, params: Params) -> RetrainingDecision:
    """Decide whether ``night`` trains; its episodes and its drift verdicts are read where they are there."""
    last = find_last_training(settings, night)
    if training_request_path(settings, night).exists():
        return RetrainingDecision(True, str(read_json(training_request_path(settings, night))["why"]))
    if last is None:
        return RetrainingDecision(True, "no training before")
    limits, new = params.retrain, count_answered(settings, night) - count_answered(settings, last)
    age = (parse_night(night) - parse_night(last)).days
    drifted = list_drifted_families(settings, last, night)
    recipe = read_json(summary_path(settings, last, "train"))["figures"].get("recipe")
    causes = [
        (new >= limits.new_episodes, f"{new} questions answered since {last}"),
        (bool(drifted), f"drift of {', '.join(drifted)} since {last}"),
        (recipe not in (None, hash_recipe(settings, params)), f"what a training reads has changed since {last}"),
        (age >= limits.every_nights, f"{age} nights since the last training"),
        (_has_learnt_from_erased(settings), f"a patient was erased from whom the training of {last} had learnt"),
    ]
    if why := "; ".join(text for holds, text in causes if holds):
        return RetrainingDecision(True, why)
    return RetrainingDecision(
        False,
        f"no training: {new} of {limits.new_episodes} new answered questions, no drift, "
        f"{age} of {limits.every_nights} nights since {last}",
    )


def _has_learnt_from_erased(settings: Settings) -> bool:
    """Whether the last challenger learnt from a patient who was erased since."""
    folder = settings.models / "challenger"
    return (folder / checkpoint.DESCRIPTION).exists() and tombstones.has_learnt(
        settings, checkpoint.read_description(folder)["id"]
    )


def find_last_training(settings: Settings, night: str) -> str | None:
    """Find the last night before ``night`` that trained a challenger."""
    earlier = sorted((p for p in settings.runs.glob("*/train.json") if p.parent.name < night), reverse=True)
    return next((path.parent.name for path in earlier if read_json(path)["status"] == "done"), None)


def list_drifted_families(settings: Settings, after: str, night: str) -> list[str]:
    """List the families that began to drift in a night after ``after``, up to ``night``."""
    found = {p.parent.name: read_json(p)["figures"] for p in sorted(settings.runs.glob("*/drift.json"))}
    drifting = {name: {f for f, verdict in figures.items() if verdict == DRIFT} for name, figures in found.items()}
    begun = [
        drifting[now] - drifting.get(before, set()) for before, now in pairwise(["", *drifting]) if after < now <= night
    ]
    return sorted(set().union(*begun))


def count_answered(settings: Settings, night: str) -> int:
    """Count the answered questions on record by a night; 0 where its episodes were not built."""
    path = summary_path(settings, night, "episodes")
    return int(read_json(path)["rows_in"]) if path.exists() else 0


def hash_recipe(settings: Settings, params: Params) -> str:
    """Hash what a training reads besides the records: parameters, versions and scorer."""
    recipe: dict[str, Any] = {
        "params": params.model_dump(include={"train", "episodes"}),
        "provenance": asdict(current_provenance()),
        "scorer": [settings.scorer, settings.scorer_model, settings.judge_model],
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]
