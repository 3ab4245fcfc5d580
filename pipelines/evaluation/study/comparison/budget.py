"""One budget for all new reward evaluations of a run, those of its trainings included.

A cached score costs nothing and is not counted. Where the next batch would cost more than is left, none of it is scored
and :class:`BudgetSpentError` is raised: that part of the evaluation is left out, and a rerun, which finds the paid
scores in the cache, gets further.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.reward.score_cache import CachedScorer
from models.reward.terms import Scorer, SentenceScores, Trial
from pipelines.training.rewards import Rewards
from pmlm.errors import TrainingError


class BudgetSpentError(TrainingError):
    """The next batch would cost more reward evaluations than the budget has left."""


class BudgetMeter:
    """A scorer that counts its evaluations and refuses to exceed ``limit`` (None: no limit)."""

    def __init__(self, scorer: Scorer, limit: int | None) -> None:
        self.id = scorer.id
        self.scorer = scorer
        self.limit = limit
        self.spent = 0
        self.refused = False  # whether anything was left out so far

    def score_sentences(self, trials: Sequence[Trial]) -> list[SentenceScores]:
        if self.limit is not None and self.spent + len(trials) > self.limit:
            self.refused = True
            raise BudgetSpentError(
                f"{self.spent} of {self.limit} reward evaluations are spent, {len(trials)} asked for"
            )
        self.spent += len(trials)
        return self.scorer.score_sentences(trials)


def meter_rewards(reward: Rewards, limit: int | None) -> BudgetMeter:
    """Put a meter between the score cache of ``reward`` and the scorer below it."""
    cached = reward.scorer
    while not isinstance(cached, CachedScorer):
        cached = cached.scorer  # type: ignore[attr-defined]
    meter = BudgetMeter(cached.scorer, limit)
    cached.scorer = meter
    return meter
