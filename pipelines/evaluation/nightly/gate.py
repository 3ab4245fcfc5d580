"""Stage ``gate``: promote the challenger, hold, or reject it (``verdict``), within the change plan.

The decision depends on ``metrics/evaluation.json``, on how often the gate was looked at (``looks``) and on the plan
(``change_plan``), and is written with its figures to ``metrics/gate.json``. A challenger that is better but outside the
plan is WAITING in ``models/waiting`` for ``pmlm promote``. Run: ``pmlm gate``.
"""

from __future__ import annotations

from typing import Any

from models.refiner import checkpoint
from pipelines.evaluation.nightly import change_plan
from pipelines.evaluation.nightly.looks import count_looks
from pipelines.evaluation.nightly.verdict import HOLD, PROMOTE, WAITING, decide
from pipelines.params import Params, load_params
from pipelines.runs import StageSummary, stage_run
from pipelines.training import champion
from pipelines.training.champion import Champion
from pmlm.errors import ChangePlanError
from pmlm.settings import Settings
from pmlm.storage import hash_files, read_json, write_json


def run(settings: Settings, night: str) -> StageSummary:
    """Write ``metrics/gate.json``, and ``models/champion`` if none exists or it is replaced."""
    with stage_run(settings, night, "gate") as summary:
        params = load_params(settings)
        there = champion.ensure_champion(settings, night, params.caps)
        faced = champion.find_incumbent(settings, night) or there
        evaluated = read_evaluation(settings)
        decision = decide(evaluated, faced, count_looks(settings, night, faced.id, evaluated), params.gate)
        decision |= obey_plan(settings, decision, evaluated, faced, params)
        challenger = settings.models / "challenger"
        if decision["decision"] == PROMOTE:
            champion.promote(settings, night, challenger, why=decision["why"])
            champion.drop_waiting(settings)  # what waited was compared with the former champion
        if decision["decision"] == WAITING and there.id != decision["challenger"]:  # unless a person has promoted it
            champion.store_waiting(settings, challenger, {"night": night, **decision})
        write_json(settings.metrics / "gate.json", {"night": night, **decision})
        summary.rows_in = decision["n"]
        summary.rows_out = int(decision["decision"] == PROMOTE)
        summary.status = "done" if decision["decision"] == PROMOTE else "hold"
        summary.detail = decision["why"]
        summary.hashes = {"champion": hash_files([champion.champion_folder(settings)])}
        summary.figures = {name: decision[name] for name in ("champion", "challenger", "decision")}
        judged = {name: decision[name] for name in ("ci_low", "ci_high", "patients")}
        summary.figures |= {"difference": decision["value"], **judged}
    return summary


def obey_plan(
    settings: Settings, decision: dict[str, Any], evaluated: dict[str, Any], faced: Champion, params: Params
) -> dict[str, Any]:
    """What the change plan makes of a decision: unchanged, WAITING outside the plan, HOLD without a valid plan."""
    try:
        plan = change_plan.read_plan(settings)
    except ChangePlanError as error:
        hold = {"decision": HOLD, "why": str(error)} if decision["decision"] == PROMOTE else {}
        return {"plan": None, "outside": [], **hold}
    found = {"plan": change_plan.name_plan(settings), "outside": []}
    if decision["decision"] != PROMOTE:
        return found
    folders = (champion.find_champion_folder(settings, faced), settings.models / "challenger")
    outside = change_plan.find_outside(plan, params, evaluated, *map(checkpoint.read_description, folders))
    if not outside:
        return found
    why = f"{decision['why']}, but outside the plan: {'; '.join(outside)}. `pmlm promote` decides"
    return found | {"outside": outside, "decision": WAITING, "why": why}


def read_evaluation(settings: Settings) -> dict[str, Any]:
    """Read tonight's evaluation; where it is missing, a hold with the reason."""
    path = settings.metrics / "evaluation.json"
    return read_json(path) if path.exists() else {"status": "hold", "why": "there is no evaluation"}


def describe_champion(settings: Settings) -> str:
    """Describe the current champion in one line."""
    now = champion.read_champion(settings)
    if now is None:
        return "no champion yet"
    kind = checkpoint.read_description(champion.champion_folder(settings))["kind"]
    return f"{now.id} ({kind}), champion since night {now.since}"
