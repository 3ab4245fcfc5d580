"""Row 6 by slice: whom the prompt serves, by age, trimester, record length and language.

``slice_X_refined_vs_ranking`` is the difference in log p, ``slice_X_refined_f1`` the F1 with the facts behind replies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from models.schema import Episode
from pipelines.evaluation.nightly.intervals import bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import Rollout
from pipelines.evaluation.study.comparison.candidates import REFINED


def build_rows(
    rollouts: Sequence[Rollout],
    split: str,
    slices: Mapping[str, Callable[[Episode], str]],
) -> list[MetricRow]:
    """Build the rows of every slice that has episodes."""
    return [row for row in _slice_rows(rollouts, split, slices) if row.n]


def _slice_rows(
    rollouts: Sequence[Rollout], split: str, slices: Mapping[str, Callable[[Episode], str]]
) -> Iterator[MetricRow]:
    for kind, read in slices.items():
        for name in sorted({read(r.episode) for r in rollouts}):
            ours = [r for r in rollouts if read(r.episode) == name]
            e = bootstrap_difference(
                [r.outcomes[REFINED].score.specific for r in ours],
                [r.outcomes["ranking"].score.specific for r in ours],
                [r.episode.subject_id for r in ours],
            )
            yield MetricRow.of(6, f"slice_{kind}_{name}_refined_vs_ranking", split, e)
            yield _f1_row(f"slice_{kind}_{name}_refined_f1", ours, split)


def _f1_row(name: str, rollouts: Sequence[Rollout], split: str) -> MetricRow:
    known = [(r.f1(REFINED), r.episode.subject_id) for r in rollouts if r.f1(REFINED) == r.f1(REFINED)]
    return MetricRow.of(6, name, split, bootstrap_mean([f for f, _ in known], [s for _, s in known]))
