"""Compare what was planted with what the nights did, from what they wrote down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fortnight.plan import LASTING, SHOWN, DriftPlant, FortnightPlan
from benchmarks.serving.figures import machine

PROMOTED = "promote"
DRIFT = "drift"
#: Families whose figures other plants move: a verdict there in their nights is no false alarm.
MOVED_BY_LATE = frozenset({"records", "features"})
MOVED_BY_FLIPS = frozenset({"rewards"})


@dataclass(slots=True)
class NightRecord:
    """What one night did, read from its own files right after it."""

    night: int
    seconds: float = 0.0
    killed_in: str = ""
    trained: bool = False
    why: str = ""
    decision: str = ""
    decision_why: str = ""
    champion: str = ""
    better_by: float | None = None
    """The challenger's mean reward less the champion's on the locked test split, which decides nothing."""
    drift: dict[str, str] = field(default_factory=dict)
    drifted: dict[str, list[str]] = field(default_factory=dict)
    rows_in: int = 0
    quarantined: int = 0
    release: str = ""


@dataclass(frozen=True, slots=True)
class RequestCount:
    """The requests of the traffic, and those without a whole answer."""

    requests: int
    failed: int
    releases: int


def judge_promotions(plan: FortnightPlan, records: Sequence[NightRecord]) -> tuple[bool, bool]:
    """Whether what was better was promoted and nothing else, and whether what was worse was refused.

    Better and worse are by the locked test split; the challenger of the bad night is worse by what was planted.
    """
    decided = [one for one in records if one.trained]
    promoted = [one for one in decided if one.decision == PROMOTED]
    worse = [one for one in decided if one.night == plan.bad or (one.better_by or 0.0) < 0]
    is_good = all((one.better_by or 0.0) > 0 for one in promoted)
    in_time = any(one.night >= plan.better for one in promoted)
    refused = any(one.night == plan.bad for one in worse) and all(one.decision != PROMOTED for one in worse)
    return bool(promoted) and is_good and in_time, refused


def find_drift(plant: DriftPlant, records: Sequence[NightRecord]) -> NightRecord | None:
    """The first night that found a planted drift while it was there."""
    nights = [one for one in records if plant.first <= one.night <= plant.last]
    return next((one for one in nights if any(one.drift.get(f) == DRIFT for f in SHOWN[plant.kind])), None)


def list_false_alarms(plan: FortnightPlan, records: Sequence[NightRecord]) -> list[tuple[int, str]]:
    """Nights and families with a drift verdict that nothing planted explains.

    The night after a shift, which goes back to what was before, is explained by it, and later ones where what it wrote
    stays on record (``LASTING``).
    """
    return [
        (one.night, family)
        for one in records
        for family, verdict in sorted(one.drift.items())
        if verdict == DRIFT and family not in _list_moved(plan, one.night)
    ]


def _list_moved(plan: FortnightPlan, night: int) -> frozenset[str]:
    moved = frozenset[str]()
    for plant in plan.drifts:
        if plant.first <= night <= plant.last + 1:
            # other words or other patients have other rewards
            moved |= SHOWN[plant.kind] | ({"rewards"} if "prompts" in SHOWN[plant.kind] else frozenset())
        elif plant.last < night:
            moved |= LASTING.get(plant.kind, frozenset())
    if plan.late.night == night or night in plan.late.of:
        moved |= MOVED_BY_LATE
    return moved | MOVED_BY_FLIPS if night == plan.poisoned else moved


def count_requests(log: Path) -> RequestCount:
    """Count the requests in the traffic's log; only a whole 200 is an answer."""
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    releases = {line["release"] for line in lines if "release" in line}
    return RequestCount(len(lines), sum(line["status"] != 200 for line in lines), len(releases))


def explain_misses(plan: FortnightPlan, records: Sequence[NightRecord], line: dict[str, Any]) -> list[str]:
    """One line for everything that was planted and did not go as it should."""
    misses = [
        f"the {plant.kind} of nights {plant.first} to {plant.last} was not found"
        for plant in plan.drifts
        if find_drift(plant, records) is None
    ]
    misses += [f"night {night}: drift of {family}, and nothing planted explains it" for night, family in
               list_false_alarms(plan, records)]  # fmt: skip
    killed = {one.night for one in records if one.killed_in}
    misses += [f"night {kill.night} was not killed: it had ended" for kill in plan.kills if kill.night not in killed]
    by_night = {one.night: one for one in records}
    if not line["promoted_better"]:
        better = by_night[plan.better]
        misses.append(f"night {plan.better} was to promote: {better.decision or 'no decision'}, {better.decision_why}")
    if not line["refused_worse"]:
        bad = by_night[plan.bad]
        misses.append(f"night {plan.bad} was to refuse: {bad.decision or 'no decision'}, {bad.decision_why}")
    promises = ("failed_requests", "lost", "doubled", "erased_found")
    return misses + [f"{name}: {line[name]}" for name in promises if line[name]]


def write_report(path: Path, plan: FortnightPlan, records: Sequence[NightRecord], line: dict[str, Any]) -> None:
    """Write all of it as JSON beside the picture."""
    whole = {"plan": asdict(plan), "nights": [asdict(one) for one in records], "line": line}
    path.write_text(json.dumps(whole, indent=1) + "\n")


def store_result(path: Path, line: dict[str, Any], **spent: float) -> None:
    """Write a run's line among those of other seeds, with the machine and what was ``spent``, but no path."""
    known = [json.loads(one) for one in path.read_text().splitlines()] if path.exists() else []
    own = {name: value for name, value in line.items() if name != "timeline"} | spent | {"machine": machine()}
    rows = sorted([one for one in known if one["seed"] != line["seed"]] + [own], key=lambda one: int(one["seed"]))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
