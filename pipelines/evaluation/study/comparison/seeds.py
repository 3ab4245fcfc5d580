"""Repeat rows 5 to 8 over several training seeds, from the same gains.

Each seed is trained as a night without a champion trains: GRPO on the episodes that need it alone
(``methods.choose_reinforced``). It measures its refined prompt, its warm start, and the prompt matched to it in length;
what does not depend on the seed is measured once. Pooled rows put the seeds' rollouts of an episode together under its
patient, so a mean is over seeds and episodes, and the interval resamples patients with all their rollouts. ``seed_i_X``
is one seed's value, ``spread_X`` the standard deviation over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from models.refiner.interface import Refiner
from models.schema import Episode
from pipelines.embedding_cache import CachedEncoder
from pipelines.evaluation.nightly.intervals import Estimate
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import Rollout
from pipelines.evaluation.study.comparison.candidates import REFINED, LengthMatchedRefiner
from pipelines.evaluation.study.comparison.recipe import TrainingRecipe, train_or_load
from pipelines.params import Params
from pipelines.training import methods
from pipelines.training.gains import EpisodeGains
from pipelines.training.rewards import Rewards
from pmlm.settings import Settings

SEED_STEP = 1000  # between seeds, so that two nights' seeds do not coincide
SPREAD = ("refined_reward", "refined_f1", "refined_vs_minilm", "refined_vs_none", "refined_vs_initial",
          "refined_vs_ranking", "refined_vs_warm_start", "selection_swap")  # fmt: skip


def train_seed(
    settings: Settings,
    number: int,
    measured: Sequence[EpisodeGains],
    episodes: Sequence[Episode],
    params: Params,
    reward: Rewards,
    encode: CachedEncoder,
) -> dict[str, Refiner]:
    """Train the candidates of seed ``number``: refined, warm start, length-matched; 0 is the night's."""
    needed = methods.choose_reinforced(episodes, encode, params.train, judged=settings.scorer == "judge")
    chosen = [episodes[i] for i in needed.chosen] if number else []
    recipe = TrainingRecipe(
        measured,
        chosen,
        params.train.seed + SEED_STEP * number,
        params.train.grpo_steps if chosen else 0,
        reward.scorer.id,
    )
    trained = train_or_load(settings, recipe, params, encode, methods.build_reward_function(episodes, reward))
    return {
        REFINED: trained.refined,
        "warm_start": trained.warm_start,
        "length_matched": LengthMatchedRefiner(trained.refined, encode),
    }


def merge_seed(first: Sequence[Rollout], other: Sequence[Rollout]) -> list[Rollout]:
    """Complete another seed's rollouts with the first one's results that depend on no seed."""
    return [
        Rollout(a.episode, {**a.programs, **b.programs}, {**a.outcomes, **b.outcomes}, b.ownership)
        for a, b in zip(first, other, strict=True)
    ]


def pool_seeds(rows: Sequence[MetricRow], seeds: int) -> list[MetricRow]:
    """Correct rows over all seeds' rollouts: ``n`` counts an episode once."""
    return [replace(row, n=row.n // seeds, seeds=seeds) for row in rows]


def measure_spread(by_seed: Sequence[Mapping[str, MetricRow]]) -> list[MetricRow]:
    """Build each seed's own headline rows and their standard deviation; nothing with one seed."""
    if len(by_seed) < 2:
        return []
    out = []
    for name in SPREAD:
        found = [rows[name] for rows in by_seed if name in rows and rows[name].value is not None]
        if len(found) < 2:
            continue
        out += [replace(row, name=f"seed_{i}_{name}", seeds=1, target=None, holds=None) for i, row in enumerate(found)]
        deviation = float(np.std([row.value for row in found if row.value is not None], ddof=1))
        e = Estimate(deviation, float("nan"), float("nan"), found[0].n, found[0].patients)
        out.append(MetricRow.of(found[0].row, f"spread_{name}", found[0].split, e, seeds=len(found)))
    return out
