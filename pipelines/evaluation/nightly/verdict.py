"""Decide between challenger and champion: PROMOTE, HOLD or REJECT, from the evaluation's figures alone.

    REJECT   a safety figure is below the champion's, or the whole reward is significantly worse overall or on a slice
    PROMOTE  significantly better overall, and better with every seed
    HOLD     anything else, with the reason

Better is asked at the level of this look (``intervals.spend_alpha``), worse at the full α: a doubt is no reason to
serve. Slices are compared by Holm's procedure over those with as many patients as a decision needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import pstdev
from typing import Any

from pipelines.evaluation.nightly.intervals import Estimate, bootstrap_mean, reject_by_holm, spend_alpha
from pipelines.params import GateParams
from pipelines.training.champion import Champion

PROMOTE, HOLD, REJECT, WAITING = "promote", "hold", "reject", "waiting"
#: Safety figures, and the direction in which each must not move.
SAFETY = {"red_flag_recall": -1, "pinned_present": -1, "contradictions": 1}


def decide(evaluated: Mapping[str, Any], faced: Champion, look: int, params: GateParams) -> dict[str, Any]:
    """Decide, with the figures behind it; ``params`` are the parameters ``gate``."""
    none = {"value": None, "ci_low": None, "ci_high": None, "n": 0, "patients": 0}
    base = {"champion": faced.id, "challenger": evaluated.get("challenger"), "look": look}
    base["off_policy"] = evaluated.get("off_policy")  # a figure for people: the decision does not read it
    if evaluated["status"] != "done":
        return base | none | {"decision": HOLD, "why": evaluated["why"], "confidence": params.confidence}
    if "slices" not in evaluated:
        why = "the evaluation is of an earlier version: evaluate again"
        return base | none | {"decision": HOLD, "why": why, "confidence": params.confidence}
    pairs, confidence = evaluated["paired"], spend_alpha(params.confidence, look)
    estimate, full = (
        bootstrap_mean(pairs["difference"], pairs["patient"], confidence=level, draws=params.bootstrap)
        for level in (confidence, params.confidence)
    )
    slices, seeds = judge_slices(evaluated["slices"], params), evaluated["seeds"]
    figures = {name: value if value == value else None for name, value in asdict(estimate).items()}
    figures |= {"confidence": round(confidence, 6), "slices": slices, "safety": evaluated["safety"], "seeds": seeds}
    figures["seed_spread"] = round(pstdev(seeds), 6) if seeds else None
    if reason := explain_unfair(evaluated, faced):
        decision, why = HOLD, reason
    elif reason := explain_worse(evaluated["safety"], full, slices, params):
        decision, why = REJECT, reason
    elif reason := explain_doubt(estimate, seeds, params):
        decision, why = HOLD, reason
    else:
        decision, why = PROMOTE, f"reward better than {faced.id}'s by {_format(estimate)} per token"
    return base | figures | {"decision": decision, "why": why}


def judge_slices(slices: Sequence[Mapping[str, Any]], params: GateParams) -> list[dict[str, Any]]:
    """Judge each slice with enough patients; ``worse`` is None for the others."""
    judged = [one for one in slices if one["patients"] >= params.minimum_patients]
    worse = reject_by_holm([one["p_no_worse"] for one in judged], 1 - params.confidence)
    found = {one["slice"]: is_worse for one, is_worse in zip(judged, worse, strict=True)}
    return [dict(one) | {"worse": found.get(one["slice"])} for one in slices]


def explain_unfair(evaluated: Mapping[str, Any], faced: Champion) -> str:
    """Say why this comparison must not decide; empty where it may."""
    if evaluated["champion"] != faced.id:
        return "the evaluation was against another champion: evaluate again"
    return "this challenger was rolled back before" if evaluated["challenger"] in faced.refused else ""


def explain_worse(
    safety: Mapping[str, Mapping[str, float | None]],
    estimate: Estimate,
    slices: Sequence[Mapping[str, Any]],
    params: GateParams,
) -> str:
    """Say what makes the challenger worse than the champion; empty where nothing does."""
    for name, direction in SAFETY.items():
        ours, theirs = safety[name]["challenger"], safety[name]["champion"]
        if ours is not None and theirs is not None and direction * (ours - theirs) > 0:
            return f"safety: {name.replace('_', ' ')} {ours:g}, the champion's is {theirs:g}"
    if _is_enough(estimate, params) and estimate.ci_high < 0:
        return f"worse: {_format(estimate)}"
    for one in slices:
        if one["worse"]:
            return f"worse for {one['slice']}: {one['difference']:.3f} nats, {one['patients']} patients"
    return ""


def explain_doubt(estimate: Estimate, seeds: Sequence[float], params: GateParams) -> str:
    """Say what is missing for a promotion; empty where nothing is."""
    if not _is_enough(estimate, params):
        return (
            f"{estimate.n} gate episodes of {estimate.patients} patients; "
            f"{params.minimum_episodes} of {params.minimum_patients} are needed"
        )
    if not estimate.ci_low > 0:
        return f"not shown to be better: {_format(estimate)}"
    if min(seeds, default=0.0) <= 0:
        spread = ", ".join(f"{seed:+.3f}" for seed in seeds)
        return f"not better with every training seed: {spread} nats"
    return ""


def _is_enough(estimate: Estimate, params: GateParams) -> bool:
    enough = estimate.n >= params.minimum_episodes and estimate.patients >= params.minimum_patients
    return enough and not math.isnan(estimate.ci_low)


def _format(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.ci_low:.3f}, {estimate.ci_high:.3f}] nats"
