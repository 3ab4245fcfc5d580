"""The evaluation as rows: what METHOD's table asks, measured on one split, with patient-clustered 95 % intervals.

``row`` is the number in the method's table of what must be shown. ``refined_vs_X`` is the difference in mean log p over
the reply's patient-specific tokens, ``reward_refined_vs_X`` in the whole reward (length price included), which is what
the gate decides on. ``holds`` says whether the target is met: for a difference, whether its interval lies above it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models.reward.terms import SAFETY_FLOOR
from pipelines.evaluation.nightly.intervals import Estimate, bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.rollout import Rollout

REFINED, INITIAL = "refined", "initial"
TOKEN_SHARE = 0.15  # of the initial prompt's free tokens
F1 = 0.8
Figure = Callable[[Rollout], float]


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One line of the evaluation; a bound or ``holds`` is None where it cannot be said."""

    row: int
    name: str
    split: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    patients: int
    seeds: int
    target: float | None = None
    holds: bool | None = None

    def json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(
        cls,
        row: int,
        name: str,
        split: str,
        estimate: Estimate,
        *,
        target: float | None = None,
        holds: bool | None = None,
        seeds: int = 1,
    ) -> MetricRow:
        """An estimate as a row, rounded to what a rerun repeats."""
        bounds = (estimate.value, estimate.ci_low, estimate.ci_high)
        value, low, high = (None if math.isnan(x) else round(float(x), 6) for x in bounds)
        said = None if holds is None else bool(holds)
        return cls(row, name, split, value, low, high, estimate.n, estimate.patients, seeds, target, said)


def build_rows(measured: Sequence[Rollout], split: str, contenders: Sequence[str], seeds: int = 1) -> list[MetricRow]:
    """All rows of one split; none where it has no episodes or nothing was refined."""
    ours = [m for m in measured if m.episode.split == split]
    if not ours or REFINED not in contenders:
        return []
    table = _SplitMetrics(ours, split, seeds)
    found = [table.mean(6, f"{name}_reward", _reward(name)) for name in contenders]
    for name in contenders:
        if name != REFINED:
            found += table.against(name)
    found += [table.mean(6, f"{name}_tokens", _tokens(name)) for name in contenders]
    found.append(table.token_share())
    found += [table.mean(6, f"{name}_f1", _f1(name), F1 if name == REFINED else None) for name in contenders]
    found.append(table.mean(8, "ownership", lambda m: m.ownership))
    found.append(table.mean(11, "pinned_present", lambda m: float(m.outcomes[REFINED].reward > SAFETY_FLOOR), 1.0))
    return [row for row in found if row.n]


class _SplitMetrics:
    """Estimates over the episodes of one split."""

    def __init__(self, measured: Sequence[Rollout], split: str, seeds: int) -> None:
        self.measured = measured
        self.split = split
        self.seeds = seeds

    def mean(self, number: int, name: str, of: Figure, target: float | None = None) -> MetricRow:
        """The mean of a figure over the episodes that have it; held to ``target`` by its value."""
        pairs = [(of(m), m.episode.subject_id) for m in self.measured]
        pairs = [(value, subject) for value, subject in pairs if not math.isnan(value)]
        estimate = bootstrap_mean([v for v, _ in pairs], [s for _, s in pairs])
        return self._row(number, name, estimate, target, None if target is None else estimate.value >= target)

    def against(self, other: str) -> list[MetricRow]:
        """Refined against one contender: in log p, and in the whole reward."""
        number = 7 if other == "warm_start" else 6
        subjects = [m.episode.subject_id for m in self.measured]
        ours, theirs = ([m.outcomes[name] for m in self.measured] for name in (REFINED, other))
        likelihood = bootstrap_difference(
            [o.score.specific for o in ours], [o.score.specific for o in theirs], subjects
        )
        reward = bootstrap_difference([o.reward for o in ours], [o.reward for o in theirs], subjects)
        # the initial prompt says all there is: to equal it with a fraction of its length is the aim
        holds = likelihood.value >= 0 if other == INITIAL else likelihood.ci_low > 0
        return [
            self._row(number, f"refined_vs_{other}", likelihood, 0.0, holds),
            self._row(number, f"reward_refined_vs_{other}", reward, 0.0, reward.ci_low > 0),
        ]

    def token_share(self) -> MetricRow:
        """Free tokens of the refined prompt as a share of the initial prompt's."""
        pairs = [
            (m.outcomes[REFINED].tokens / m.outcomes[INITIAL].tokens, m.episode.subject_id)
            for m in self.measured
            if m.outcomes[INITIAL].tokens
        ]
        estimate = bootstrap_mean([v for v, _ in pairs], [s for _, s in pairs])
        return self._row(6, "refined_token_share", estimate, TOKEN_SHARE, estimate.value <= TOKEN_SHARE)

    def _row(self, number: int, name: str, e: Estimate, target: float | None, holds: bool | None) -> MetricRow:
        return MetricRow.of(number, name, self.split, e, target=target, holds=holds, seeds=self.seeds)


def _reward(name: str) -> Figure:
    return lambda m: m.outcomes[name].reward


def _tokens(name: str) -> Figure:
    return lambda m: m.outcomes[name].tokens


def _f1(name: str) -> Figure:
    return lambda m: m.f1(name)
