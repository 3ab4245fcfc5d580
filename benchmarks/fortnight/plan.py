"""Draw by seed what is planted in which night; nothing else decides it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

NIGHTS = 14
FIRST_DAY = date(2026, 6, 1)
DriftKind = Literal["case_mix", "lab_unit", "topic", "wording", "null_feature", "trend"]
BadKind = Literal["untrained", "one_fact"]
#: A shift lasts so many nights, and must be found within them; a trend lasts to the end.
SHIFT_NIGHTS = 2
SHIFTS: tuple[DriftKind, ...] = ("case_mix", "lab_unit", "topic", "wording", "null_feature")
#: Families in which a drift of this kind shows; a verdict in any of them is a find.
SHOWN: dict[DriftKind, frozenset[str]] = {
    "case_mix": frozenset({"records", "features", "prompts"}),
    "lab_unit": frozenset({"records", "features"}),
    "topic": frozenset({"prompts"}),
    "wording": frozenset({"prompts"}),
    "null_feature": frozenset({"records", "features"}),
    "trend": frozenset({"records", "features"}),
}
#: Families in which a shift shows after its nights too: what it wrote stays on record until each patient is measured
#: again, and features look back.
LASTING: dict[DriftKind, frozenset[str]] = {
    "lab_unit": frozenset({"features"}),
    "null_feature": frozenset({"features"}),
}
#: Stages of a night that takes records in, each long enough to be killed in.
KILLED_STAGES = ("records", "features", "episodes", "drift", "package", "save")


@dataclass(frozen=True, slots=True)
class DriftPlant:
    """A drift that is there from night ``first`` to night ``last``."""

    kind: DriftKind
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Kill:
    """A night whose process is killed so many seconds into a stage."""

    night: int
    stage: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class LateBatch:
    """The night that brings what was measured in earlier nights, and corrections of it."""

    night: int
    of: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FortnightPlan:
    """What is planted; nights are numbered from 1."""

    seed: int
    drifts: tuple[DriftPlant, ...]
    better: int
    bad: int
    bad_kind: BadKind
    poisoned: int
    kills: tuple[Kill, ...]
    late: LateBatch
    erasure: int


def draw_plan(seed: int) -> FortnightPlan:
    """Draw the plan of a seed; nights of different plants may coincide where one does not hide the other."""
    rng = random.Random(f"fortnight/{seed}")
    better = rng.randint(3, 5)
    bad = rng.randint(better + 2, NIGHTS - 2)
    poisoned = rng.choice([n for n in range(better + 1, NIGHTS + 1) if n not in (bad, bad + 1)])
    late = rng.randint(5, NIGHTS - 1)
    killed = rng.sample(range(2, NIGHTS + 1), 2)
    stages = rng.sample(KILLED_STAGES, 2)
    return FortnightPlan(
        seed=seed,
        drifts=_draw_drifts(rng),
        better=better,
        bad=bad,
        bad_kind=rng.choice(("untrained", "one_fact")),
        poisoned=poisoned,
        kills=tuple(
            Kill(night, stage, round(rng.uniform(0.0, 1.0), 3))
            for night, stage in zip(sorted(killed), stages, strict=True)
        ),
        late=LateBatch(late, tuple(sorted(rng.sample(range(max(2, late - 4), late), 2)))),
        erasure=rng.randint(4, NIGHTS - 2),
    )


def _draw_drifts(rng: random.Random) -> tuple[DriftPlant, ...]:
    """Three drifts of different kinds, apart from each other; in one fortnight of two the third is a slow trend."""
    kinds = rng.sample(SHIFTS, 3)
    starts = sorted(rng.sample(range(4, NIGHTS - 5), 3))
    spread = [start + place * SHIFT_NIGHTS for place, start in enumerate(starts)]
    shifts = [DriftPlant(kind, start, start + SHIFT_NIGHTS - 1) for kind, start in zip(kinds, spread, strict=True)]
    if rng.random() < 0.5:
        shifts[-1] = DriftPlant("trend", 2, NIGHTS)
    return tuple(sorted(shifts, key=lambda one: (one.first, one.kind)))


def day_of(night: int) -> date:
    """The day whose drop night ``night`` takes in."""
    return FIRST_DAY + timedelta(days=night - 1)


def id_of(night: int) -> str:
    """The id of a night, as ``pmlm`` writes it."""
    return f"{day_of(night):%Y%m%d}"


def drifts_in(plan: FortnightPlan, night: int) -> list[DriftPlant]:
    """The drifts that are there in a night."""
    return [one for one in plan.drifts if one.first <= night <= one.last]
