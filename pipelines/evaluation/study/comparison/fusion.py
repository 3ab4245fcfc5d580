"""``refined+cosine``: the policy's first-pick probabilities plus cosine similarity to the question.

    score(s) = log P(first pick = s | q, S) + w · cos(e(q), e(s))

w is chosen on the gate split by whole reward, so the test split stays unseen. As many segments as the policy itself
chooses, in its style. Reported, not shipped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.refiner.inference import PolicyRefiner, compute_choice_probabilities
from models.refiner.interface import Caps
from models.schema import EditProgram, Episode, Segment
from pipelines.embedding_cache import CachedEncoder
from pipelines.evaluation.study.comparison.bench import Bench
from pipelines.training.rewards import LARGEST_UNIT

WEIGHTS = (0.0, 2.0, 5.0, 10.0, 20.0)
MOST = 24  # episodes of the gate split that choose
LEAST = 1e-9


@dataclass
class FusedRefiner:
    """First-pick probabilities plus ``weight`` times the cosine to the question."""

    policy: PolicyRefiner
    encoder: CachedEncoder
    weight: float
    id: str = "refined+cosine"

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        program = self.policy.refine(question, segments)
        weights = compute_choice_probabilities(self.policy, question, segments, program)
        if weights is None or not weights.steps or not program.picks:
            return program
        known = [s for s in segments if s.key in weights.steps[0]]
        vectors = self.encoder.encode([question, *(s.text for s in known)])
        cosines = np.round(vectors[1:] @ vectors[0], 5)
        scores = [
            math.log(max(weights.steps[0][s.key], LEAST)) + self.weight * float(c)
            for s, c in zip(known, cosines, strict=True)
        ]
        order = np.argsort(-np.round(scores, 5), kind="stable")
        fitting = Caps(len(program.picks), self.policy.caps.tokens).fit(known[i] for i in order)
        return EditProgram(tuple(s.key for s in fitting), program.style)


def choose_fused(bench: Bench, policy: PolicyRefiner) -> FusedRefiner:
    """Choose the weight with the best reward on the gate split; 0 without such episodes."""
    episodes = bench.gate[: MOST // 4 if bench.quick else MOST]
    tried = [FusedRefiner(policy, bench.encode, w) for w in (WEIGHTS[::2] if bench.quick else WEIGHTS)]
    return max(tried, key=lambda fused: _mean_reward(bench, fused, episodes)) if episodes else tried[0]


def _mean_reward(bench: Bench, fused: FusedRefiner, episodes: Sequence[Episode]) -> float:
    found: list[float] = []
    for start in range(0, len(episodes), LARGEST_UNIT):
        unit = episodes[start : start + LARGEST_UNIT]
        found += [o.reward for o in bench.reward.outcomes([(e, fused.refine(e.question, e.segments)) for e in unit])]
    return round(float(np.mean(found)), 6)
