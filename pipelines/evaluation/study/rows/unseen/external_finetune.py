"""Row 9 on external episodes after adaptation to ``MOST`` others of their kind.

The night's policy is trained on the labels of these episodes, measured and read off their replies, together with the
clinic's own; then by a few steps of GRPO on them. No other external episode is read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from models.refiner import checkpoint
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.study.comparison.bench import Bench
from pipelines.evaluation.study.comparison.paired import compare_refined
from pipelines.evaluation.study.comparison.recipe import TrainingRecipe, train_or_load
from pipelines.evaluation.study.rows.unseen import external
from pipelines.splits import hash_order
from pipelines.training import gains as single
from pipelines.training import methods

MOST, QUICK_MOST = 16, 2
STEPS = 4


def build_rows(
    bench: Bench, learnt_from: Path, measured_on: Path, count: Callable[[str], int], most: int | None
) -> list[MetricRow]:
    """Build ``external_adapted_vs_X`` over the first ``most`` episodes; none without a policy."""
    night = bench.settings.models / "challenger"
    if not (night / checkpoint.WEIGHTS).exists():
        return []
    tests = external.read_episodes(measured_on, count)[:most]
    known = {e.subject_id for e in tests}
    ours = [e for e in external.read_episodes(learnt_from, count) if e.subject_id not in known]
    ours = sorted(ours, key=lambda e: hash_order(e.episode_id))[: QUICK_MOST if bench.quick else MOST]
    measured = [single.measure_gains(bench.reward, e, bench.params.slots) for e in ours]
    if not measured or not tests:
        return []
    gains = bench.label(measured, ours)
    start = (checkpoint.read_description(night)["id"], checkpoint.load_policy(night))
    steps = 0 if bench.quick else STEPS
    recipe = TrainingRecipe(
        [*bench.labelled, *gains],
        ours,
        bench.params.train.seed,
        steps,
        bench.reward.scorer.id,
        start,
    )
    trained = train_or_load(
        bench.settings, recipe, bench.params, bench.encode, methods.build_reward_function(ours, bench.reward)
    )
    rivals = bench.build_rivals(trained.refined, gains) | {"zero_shot": checkpoint.load_refiner(night, bench.encode)}
    return compare_refined(bench.roll_out(tests, rivals), 9, "external_", external.SPLIT, who="adapted")
