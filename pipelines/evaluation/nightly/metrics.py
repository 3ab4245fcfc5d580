"""Build rows 6, 7, 8 and 11 of METHOD's table on one split.

``row`` is the number in the method's table, intervals are patient-clustered at 95 %. ``refined_vs_X`` is the difference
in mean log p over the reply's patient-specific tokens, ``reward_refined_vs_X`` in the whole reward (length price
included), which the gate decides on. ``holds`` is whether the target is met: for a difference, by the whole interval.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models.reward.terms import SAFETY_FLOOR
from pipelines.evaluation.nightly.intervals import Estimate, bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.rollout import Rollout

REFINED, INITIAL = "refined", "initial"
TOKEN_SHARE = 0.15  # of the initial prompt's free tokens
F1 = 0.6  # of the refined prompt's picks with the free facts behind the reply
FILE_WIDTH = 140  # columns of the printed table in a file or a pipe
Figure = Callable[[Rollout], float]


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One row of the evaluation; a bound or ``holds`` is None where undefined."""

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
        """Make a row of an estimate, rounded to what a rerun repeats."""
        bounds = (estimate.value, estimate.ci_low, estimate.ci_high)
        value, low, high = (None if math.isnan(x) else round(float(x), 6) for x in bounds)
        met = None if holds is None else bool(holds)
        return cls(row, name, split, value, low, high, estimate.n, estimate.patients, seeds, target, met)


def build_rows(rollouts: Sequence[Rollout], split: str, candidates: Sequence[str], seeds: int = 1) -> list[MetricRow]:
    """Build all rows of one split; none without episodes or without refined prompts."""
    ours = [r for r in rollouts if r.episode.split == split]
    if not ours or REFINED not in candidates:
        return []
    table = _SplitMetrics(ours, split, seeds)
    rows = [table.mean(6, f"{name}_reward", _reward(name)) for name in candidates]
    for name in candidates:
        if name != REFINED:
            rows += table.compare(name)
    rows += [table.mean(6, f"{name}_tokens", _tokens(name)) for name in candidates]
    if INITIAL in candidates:
        rows.append(table.token_share())
    rows += [table.mean(6, f"{name}_f1", _f1(name), F1 if name == REFINED else None) for name in candidates]
    rows.append(table.mean(8, "ownership", lambda r: r.ownership))
    rows.append(table.mean(11, "pinned_present", lambda r: float(r.outcomes[REFINED].reward > SAFETY_FLOOR), 1.0))
    return [row for row in rows if row.n]


class _SplitMetrics:
    """Estimates over the episodes of one split."""

    def __init__(self, rollouts: Sequence[Rollout], split: str, seeds: int) -> None:
        self.rollouts = rollouts
        self.split = split
        self.seeds = seeds

    def mean(self, number: int, name: str, of: Figure, target: float | None = None) -> MetricRow:
        """The mean of a figure over the episodes that have it; it must reach ``target``."""
        pairs = [(of(r), r.episode.subject_id) for r in self.rollouts]
        pairs = [(value, subject) for value, subject in pairs if not math.isnan(value)]
        estimate = bootstrap_mean([v for v, _ in pairs], [s for _, s in pairs])
        return self._row(number, name, estimate, target, None if target is None else estimate.value >= target)

    def compare(self, other: str) -> list[MetricRow]:
        """Compare refined with another candidate in log p and in the whole reward."""
        number = 7 if other == "warm_start" else 6
        subjects = [r.episode.subject_id for r in self.rollouts]
        ours, theirs = ([r.outcomes[name] for r in self.rollouts] for name in (REFINED, other))
        likelihood = bootstrap_difference(
            [o.score.specific for o in ours], [o.score.specific for o in theirs], subjects
        )
        reward = bootstrap_difference([o.reward for o in ours], [o.reward for o in theirs], subjects)
        # the initial prompt has all facts: the aim is to equal it with a fraction of its length
        holds = likelihood.value >= 0 if other == INITIAL else likelihood.ci_low > 0
        return [
            self._row(number, f"refined_vs_{other}", likelihood, 0.0, holds),
            self._row(number, f"reward_refined_vs_{other}", reward, 0.0, reward.ci_low > 0),
        ]

    def token_share(self) -> MetricRow:
        """Free tokens of the refined prompt as a share of the initial prompt's."""
        pairs = [
            (r.outcomes[REFINED].tokens / r.outcomes[INITIAL].tokens, r.episode.subject_id)
            for r in self.rollouts
            if r.outcomes[INITIAL].tokens
        ]
        estimate = bootstrap_mean([v for v, _ in pairs], [s for _, s in pairs])
        return self._row(6, "refined_token_share", estimate, TOKEN_SHARE, estimate.value <= TOKEN_SHARE)

    def _row(self, number: int, name: str, e: Estimate, target: float | None, holds: bool | None) -> MetricRow:
        return MetricRow.of(number, name, self.split, e, target=target, holds=holds, seeds=self.seeds)


def _reward(name: str) -> Figure:
    return lambda r: r.outcomes[name].reward


def _tokens(name: str) -> Figure:
    return lambda r: r.outcomes[name].tokens


def _f1(name: str) -> Figure:
    return lambda r: r.f1(name)


def print_table(rows: Sequence[MetricRow]) -> None:
    """Print one line per row: name, split, value, interval, counts, whether its target is met."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("row", Column("name", no_wrap=True), "split", "value", Column("95 % interval", no_wrap=True))
    for name in ("n", "patients", "target", "holds"):
        table.add_column(name)
    for row in rows:
        interval = "–" if row.ci_low is None else f"[{row.ci_low:.3f}, {row.ci_high:.3f}]"
        target = "" if row.target is None else f"{row.target:g}"
        holds = {None: "", True: "yes", False: "no"}[row.holds]
        value = "–" if row.value is None else f"{row.value:.3f}"
        cells = (row.row, row.name, row.split, value, interval, row.n, row.patients, target, holds)
        table.add_row(*map(str, cells))
    Console(width=None if sys.stdout.isatty() else FILE_WIDTH).print(table)
