"""What each free segment is worth alone: the measurements the warm start learns from, within a budget.

    g_i = R(S_0 ∪ {s_i}) − R(S_0),    g_style = R(S_0, style) − R(S_0, plain)

R is the whole reward, length price included. Of fifty candidates three or four matter, so they are first tried in
groups of four (neighbours in the initial ranking, which are often about the same thing), and only members of the
three best groups are tried alone: 27 reward evaluations an episode in place of 51. A segment of another group gets
its share of what the group did to the reply's likelihood, but never credit, less its own price. Episodes are measured
whole, in an order that depends on nothing but their ids, until the next might exceed the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.refiner.interface import STYLES
from models.schema import EditProgram, Episode, Segment
from pipelines.training.rewards import Rewards
from pipelines.training.splits import shuffled

GROUP, OPENED = 4, 3


@dataclass(frozen=True, slots=True)
class Gains:
    """One episode, measured: the ``segments`` tried, their ``gains`` (NaN where pinned) and the gains of ``styles``."""

    episode: Episode
    segments: tuple[Segment, ...]
    gains: np.ndarray
    styles: np.ndarray


def cost(episode: Episode, slots: int) -> int:
    """The most reward evaluations that measuring an episode takes."""
    free = len(_free(episode.segments[:slots]))
    return len(STYLES) + (free if free <= GROUP * OPENED else -(-free // GROUP) + GROUP * OPENED)


def affordable(episodes: Sequence[Episode], budget: int, slots: int) -> list[Episode]:
    """The episodes that can be measured within ``budget`` reward evaluations."""
    chosen, spent = [], 0
    for episode in sorted(episodes, key=lambda e: shuffled(e.episode_id)):
        spent += cost(episode, slots)
        if spent > budget:
            break
        chosen.append(episode)
    return chosen


def measure(rewards: Rewards, episode: Episode, slots: int) -> Gains:
    """The gains of one episode, over the segments a policy with ``slots`` slots sees."""
    segments = episode.segments[:slots]
    free = _free(segments)
    few = len(free) <= GROUP * OPENED
    groups = [] if few else [free[i : i + GROUP] for i in range(0, len(free), GROUP)]
    tried = [EditProgram((), style) for style in STYLES] + [_program(segments, group) for group in groups]
    outcomes = rewards.outcomes([(episode, program) for program in tried])
    plain = outcomes[0]
    did = [o.score.specific - plain.score.specific for o in outcomes[len(STYLES) :]]

    gains = np.full(len(segments), np.nan)
    for group, likelihood in zip(groups, did, strict=True):
        for i in group:
            gains[i] = min(0.0, likelihood / len(group)) - rewards.price * segments[i].tokens
    best = sorted(range(len(groups)), key=lambda k: -did[k])[:OPENED]
    alone = free if few else [i for k in sorted(best) for i in groups[k]]
    singles = rewards.outcomes([(episode, _program(segments, [i])) for i in alone])
    gains[alone] = [o.reward - plain.reward for o in singles]
    styles = np.array([o.reward - plain.reward for o in outcomes[: len(STYLES)]])
    return Gains(episode, segments, gains, styles)


def _free(segments: Sequence[Segment]) -> list[int]:
    return [i for i, s in enumerate(segments) if not s.pinned]


def _program(segments: Sequence[Segment], chosen: Sequence[int]) -> EditProgram:
    return EditProgram(tuple(segments[i].key for i in chosen))


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
