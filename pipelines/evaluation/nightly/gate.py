"""Stage ``gate``: promote the challenger if it is significantly better than the champion, else hold.

Better: the paired, patient-clustered interval of the difference in METHOD's whole reward (length price included) on the
gate split is above zero. The gate is looked at every night, so α is spent over the looks since the champion became one
(``intervals.spend_alpha``). The decision depends on ``metrics/evaluation.json`` alone and is written with its figures
to ``metrics/gate.json``. Run: ``pmlm gate``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from models.refiner import checkpoint
from pipelines.evaluation.nightly.intervals import bootstrap_mean, spend_alpha
from pipelines.params import GateParams, load_params
from pipelines.runs import StageSummary, stage_run
from pipelines.training import champion
from pipelines.training.champion import Champion
from pmlm.settings import Settings
from pmlm.storage import hash_files, read_json, write_json

PROMOTE, HOLD = "promote", "hold"


def run(settings: Settings, night: str) -> StageSummary:
    """Write ``metrics/gate.json``, and ``models/champion`` if none exists or it is replaced."""
    with stage_run(settings, night, "gate") as summary:
        params = load_params(settings)
        there = champion.ensure_champion(settings, night, params.caps)
        faced = champion.find_incumbent(settings, night) or there
        decision = decide(read_evaluation(settings), faced, count_looks(settings, night, faced), params.gate)
        if decision["decision"] == PROMOTE:
            champion.promote(settings, night, settings.models / "challenger")
        write_json(settings.metrics / "gate.json", {"night": night, **decision})
        summary.rows_in = decision["n"]
        summary.rows_out = int(decision["decision"] == PROMOTE)
        summary.status = "done" if decision["decision"] == PROMOTE else "hold"
        summary.detail = decision["why"]
        summary.hashes = {"champion": hash_files([champion.champion_folder(settings)])}
        summary.figures = {"champion": decision["champion"], "challenger": decision["challenger"]}
    return summary


def read_evaluation(settings: Settings) -> dict[str, Any]:
    """Read tonight's evaluation; where it is missing, a hold with the reason."""
    path = settings.metrics / "evaluation.json"
    return read_json(path) if path.exists() else {"status": "hold", "why": "there is no evaluation"}


def count_looks(settings: Settings, night: str, faced: Champion) -> int:
    """Count the champion's looks at the gate: nights that judged a challenger, and tonight."""
    judged = {path.parent.name for path in settings.runs.glob("*/gate.json") if read_json(path)["rows_in"]}
    return len({n for n in judged if n >= faced.since} | {night})


def decide(evaluated: dict[str, Any], faced: Champion, look: int, params: GateParams) -> dict[str, Any]:
    """Decide, with the figures behind it; ``params`` are the parameters ``gate``."""
    none = {"value": None, "ci_low": None, "ci_high": None, "n": 0, "patients": 0}
    base = {"champion": faced.id, "challenger": evaluated.get("challenger"), "look": look}
    base["off_policy"] = evaluated.get("off_policy")  # a figure for people: the decision does not read it
    if evaluated["status"] != "done":
        return base | none | {"decision": HOLD, "why": evaluated["why"], "confidence": params.confidence}
    pairs, confidence = evaluated["paired"], spend_alpha(params.confidence, look)
    estimate = bootstrap_mean(pairs["difference"], pairs["patient"], confidence=confidence, draws=params.bootstrap)
    figures = {name: value if value == value else None for name, value in asdict(estimate).items()}
    decision, why = HOLD, ""
    if evaluated["champion"] != faced.id:
        why = "the evaluation was against another champion: evaluate again"
    elif base["challenger"] in faced.refused:
        why = "this challenger was rolled back before"
    elif estimate.n < params.minimum_episodes or estimate.patients < params.minimum_patients:
        why = (
            f"{estimate.n} gate episodes of {estimate.patients} patients; "
            f"{params.minimum_episodes} of {params.minimum_patients} are needed"
        )
    elif estimate.ci_low > 0:
        decision, why = PROMOTE, f"better by {estimate.value:.3f} [{estimate.ci_low:.3f}, {estimate.ci_high:.3f}] nats"
    else:
        why = f"not better beyond doubt: {estimate.value:.3f} [{estimate.ci_low:.3f}, {estimate.ci_high:.3f}] nats"
    return base | figures | {"decision": decision, "why": why, "confidence": round(confidence, 6)}


def describe_champion(settings: Settings) -> str:
    """Describe the current champion in one line."""
    now = champion.read_champion(settings)
    if now is None:
        return "no champion yet"
    kind = checkpoint.read_description(champion.champion_folder(settings))["kind"]
    return f"{now.id} ({kind}), champion since night {now.since}"
