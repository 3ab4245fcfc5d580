"""Rows that compare the refined prompt with others, paired by episode, patients resampled."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.evaluation.nightly.intervals import Estimate, bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import Rollout
from pipelines.evaluation.study.comparison.candidates import REFINED

#: What a refiner that is tested on something new has to beat.
AIMS = ("minilm", "random", "length_matched")


def compare_refined(
    rollouts: Sequence[Rollout],
    number: int,
    prefix: str,
    split: str,
    aims: Sequence[str] = AIMS,
    seeds: int = 1,
    who: str = REFINED,
) -> list[MetricRow]:
    """``{prefix}{who}_vs_X`` in mean log p for every candidate X; those in ``aims`` are targets.

    ``who`` is what the rows call the refined candidate.
    """
    if not rollouts:
        return []
    out = []
    for name in (n for n in rollouts[0].outcomes if n != REFINED):
        e = compare_log_p(rollouts, REFINED, name)
        aim, holds = (0.0, e.ci_low > 0) if name in aims else (None, None)
        row = MetricRow.of(number, f"{prefix}{who}_vs_{name}", split, e, target=aim, holds=holds, seeds=seeds)
        out.append(row)
    pairs = [(r.f1(REFINED), r.episode.subject_id) for r in rollouts]
    known = [(f1, subject) for f1, subject in pairs if f1 == f1]
    if known:
        e = bootstrap_mean([f for f, _ in known], [s for _, s in known])
        out.append(MetricRow.of(number, f"{prefix}{who}_f1", split, e, seeds=seeds))
    return out


def compare_log_p(rollouts: Sequence[Rollout], a: str, b: str) -> Estimate:
    """Mean log p of ``a`` less that of ``b`` on the same episodes."""
    subjects = [r.episode.subject_id for r in rollouts]
    ours, theirs = ([r.outcomes[name].score.specific for r in rollouts] for name in (a, b))
    return bootstrap_difference(ours, theirs, subjects)
