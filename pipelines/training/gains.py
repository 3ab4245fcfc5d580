"""Measure the gains of segments and styles (``models.reward.terms``) within a budget.

    gain(s) = R(S₀ ∪ {s}) − R(S₀),    gain(style) = R(S₀, style) − R(S₀, plain)

Episodes are measured whole, in an order that depends on nothing but their ids, until the next one would exceed the
budget of reward evaluations. (A universal threshold on gains, against the best of n idle sentences, was tried: it cost
true facts more labels than it saved, F1 .22 against .26 on held-out episodes of the sample, three seeds.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.refiner.interface import STYLES
from models.reward.terms import SentenceScores, centre_gains
from models.schema import EditProgram, Episode, Segment
from pipelines.splits import hash_order
from pipelines.training.rewards import Rewards


@dataclass(frozen=True, slots=True)
class EpisodeGains:
    """One episode's gains (nats), measured or predicted.

    ``gains`` [segments] as measured; ``useful`` [segments] centred, for learning; both NaN where pinned. ``styles``
    [len(STYLES)] are the gains of the style directives. ``uptake`` [segments] is the probability that the reply took a
    segment up, None where only the gains are known. ``by_sentence`` [free segments, sentences] are measured
    gains in each sentence's log-probability, None where the scorer gives none.
    """

    episode: Episode
    segments: tuple[Segment, ...]
    gains: np.ndarray
    useful: np.ndarray
    styles: np.ndarray
    uptake: np.ndarray | None = None
    by_sentence: np.ndarray | None = None


def select_affordable(episodes: Sequence[Episode], budget: int, slots: int) -> list[Episode]:
    """Select episodes whose gains can be measured within ``budget`` reward evaluations."""
    chosen, evaluations = [], 0
    for episode in sorted(episodes, key=lambda e: hash_order(e.episode_id)):
        evaluations += count_evaluations(episode, slots)
        if evaluations > budget:
            break
        chosen.append(episode)
    return chosen


def count_evaluations(episode: Episode, slots: int) -> int:
    """Count the reward evaluations that an episode's gains need."""
    return len(build_probe_programs(episode.segments[:slots]))


def measure_gains(rewards: Rewards, episode: Episode, slots: int) -> EpisodeGains:
    """Measure one episode's gains, over the first ``slots`` segments."""
    segments = episode.segments[:slots]
    outcomes = rewards.outcomes([(episode, program) for program in build_probe_programs(segments)])
    values = np.array([o.reward for o in outcomes])
    likelihood = np.array([o.score.specific for o in outcomes])
    free = [i for i, s in enumerate(segments) if not s.pinned]
    gains, useful = np.full(len(segments), np.nan), np.full(len(segments), np.nan)
    gains[free] = values[len(STYLES) :] - values[0]
    tokens = np.array([segments[i].tokens for i in free])
    useful[free] = centre_gains(likelihood[len(STYLES) :] - likelihood[0], tokens, rewards.price)
    by_sentence = _subtract_by_sentence([o.sentences for o in outcomes if o.sentences])
    return EpisodeGains(episode, segments, gains, useful, values[: len(STYLES)] - values[0], None, by_sentence)


def _subtract_by_sentence(scores: Sequence[SentenceScores]) -> np.ndarray | None:
    """Gains of each free segment in each sentence's log-probability; None for a judge's single grade."""
    if not any(n > 1 for n in scores[0].counts):
        return None
    sums = np.array([s.sums for s in scores])
    return np.asarray(sums[len(STYLES) :] - sums[0])


def build_probe_programs(segments: Sequence[Segment]) -> list[EditProgram]:
    """Build each style alone (plain first: pinned facts only), then each free segment alone."""
    styles = [EditProgram((), style) for style in STYLES]
    return styles + [EditProgram((s.key,)) for s in segments if not s.pinned]


def compute_gain_auc(measured: Sequence[EpisodeGains]) -> float | None:
    """Compute the mean within-episode AUC of gains against facts; None without facts.

    AUC: the share of (fact behind the reply, other) pairs that the gain orders right; ties count half.
    """
    found = []
    for one in measured:
        behind = np.array([s.key in one.episode.facts for s in one.segments])
        free = ~np.isnan(one.gains)
        yes, no = one.gains[behind & free], one.gains[~behind & free]
        if len(yes) and len(no):
            found.append(((yes[:, None] > no).mean() + (yes[:, None] >= no).mean()) / 2)
    return float(np.mean(found)) if found else None
