"""What each free segment is worth alone: the measurements the warm start learns from, within a budget.

    g_i = R(S_0 ∪ {s_i}) − R(S_0),    g_style = R(S_0, style) − R(S_0, plain)

R is the whole reward, length price included. Episodes are measured whole, in an order that depends on nothing but
their ids, until the next one would exceed the budget of reward evaluations.

Most of fifty sentences have nothing to do with a reply, and still move its likelihood a little, up or down; the best of
fifty such moves looks like a gain. So a sentence counts as useful only beyond the universal threshold of shrinkage
(Donoho & Johnstone 1994), with l_i its gain in likelihood and n the number of sentences tried:

    l_i counts if  l_i − median(l) > σ̂ √(2 ln n),   σ̂ = 1.4826 · median |l − median(l)|
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.refiner.interface import STYLES
from models.schema import EditProgram, Episode, Segment
from pipelines.training.rewards import Rewards
from pipelines.training.splits import shuffled


@dataclass(frozen=True, slots=True)
class Gains:
    """One episode, measured.

    ``gains`` [segments] as measured, ``useful`` [segments] the same with chance taken out: what is to be learnt; both
    NaN where pinned. ``styles`` [len(STYLES)] the gains of the style directives.
    """

    episode: Episode
    segments: tuple[Segment, ...]
    gains: np.ndarray
    useful: np.ndarray
    styles: np.ndarray


def affordable(episodes: Sequence[Episode], budget: int, slots: int) -> list[Episode]:
    """The episodes whose single gains can be measured within ``budget`` reward evaluations."""
    chosen, spent = [], 0
    for episode in sorted(episodes, key=lambda e: shuffled(e.episode_id)):
        spent += cost(episode, slots)
        if spent > budget:
            break
        chosen.append(episode)
    return chosen


def cost(episode: Episode, slots: int) -> int:
    """The reward evaluations that measuring an episode takes."""
    return len(_programs(episode.segments[:slots]))


def measure(rewards: Rewards, episode: Episode, slots: int) -> Gains:
    """The single gains of one episode, over the segments a policy with ``slots`` slots sees."""
    segments = episode.segments[:slots]
    outcomes = rewards.outcomes([(episode, program) for program in _programs(segments)])
    values = np.array([o.reward for o in outcomes])
    likelihood = np.array([o.score.specific for o in outcomes])
    free = [i for i, s in enumerate(segments) if not s.pinned]
    gains, useful = np.full(len(segments), np.nan), np.full(len(segments), np.nan)
    gains[free] = values[len(STYLES) :] - values[0]
    useful[free] = beyond_chance(likelihood[len(STYLES) :] - likelihood[0])
    useful[free] -= rewards.price * np.array([segments[i].tokens for i in free])
    return Gains(episode, segments, gains, useful, values[: len(STYLES)] - values[0])


def beyond_chance(likelihood: np.ndarray) -> np.ndarray:
    """Gains in likelihood [n], zero where the best of n idle sentences might have shown as much."""
    if not len(likelihood):
        return likelihood
    middle = np.median(likelihood)
    noise = 1.4826 * np.median(np.abs(likelihood - middle))
    return np.where(likelihood - middle > noise * np.sqrt(2 * np.log(len(likelihood))), likelihood, 0.0)


def _programs(segments: Sequence[Segment]) -> list[EditProgram]:
    """Each style alone (plain first: pinned facts only), then each free segment alone."""
    styles = [EditProgram((), style) for style in STYLES]
    return styles + [EditProgram((s.key,)) for s in segments if not s.pinned]


def validity(measured: Sequence[Gains]) -> float | None:
    """Within-episode AUC of gain against the facts behind the reply, mean over episodes; None where none is known.

    The share of (behind, not behind) pairs that the gain orders rightly; ties count half.
    """
    found = []
    for one in measured:
        behind = np.array([s.key in one.episode.facts for s in one.segments])
        free = ~np.isnan(one.gains)
        yes, no = one.gains[behind & free], one.gains[~behind & free]
        if len(yes) and len(no):
            found.append(((yes[:, None] > no).mean() + (yes[:, None] >= no).mean()) / 2)
    return float(np.mean(found)) if found else None
