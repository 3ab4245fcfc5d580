"""Decide for which questions a night runs reinforcement learning, and say why.

    n(q)  = readable training replies to questions like q (cosine ≥ 0.6), its own among them
    q is reinforced  ⇔  the reward needs no reply (a judge), or n(q) < ``FEW_LIKE``,
                        or the clinic has fewer than ``FEW_IN_ALL`` readable replies: a new hospital

Where replies can be read they say which facts clinicians take up, at no reward evaluation and more surely than sampled
rewards do: on questions with many readable replies reinforcement learning added no F1 to that (docs/method.md). It adds
where there is little to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LIKE_COSINE = 0.6
FEW_LIKE = 10  # readable replies to like questions
FEW_IN_ALL = 100  # readable replies of a clinic


@dataclass(frozen=True, slots=True)
class RlDecision:
    """Which episodes are reinforced, by place, and why these, or why none."""

    chosen: tuple[int, ...]
    why: str

    @property
    def needed(self) -> bool:
        return bool(self.chosen)


def count_like_replies(questions: NDArray[np.float32], readable: Sequence[bool]) -> NDArray[np.int64]:
    """Count, for each question's unit vector [n, width], the readable replies to like questions."""
    if not len(questions):
        return np.zeros(0, np.int64)
    like = np.round(questions @ questions.T, 5) >= LIKE_COSINE
    counts: NDArray[np.int64] = (like & np.asarray(readable, bool)[None]).sum(1)
    return counts


def decide_rl(like: Sequence[int], readable: int, *, judged: bool, fewest: int) -> RlDecision:
    """Decide from n(q) of every training episode.

    ``fewest`` is how many questions one step of RL takes.
    """
    everything = tuple(range(len(like)))
    few = tuple(i for i in everything if like[i] < FEW_LIKE)
    if len(everything) < fewest:
        return RlDecision((), f"not needed here: {len(everything)} episodes, one step of RL takes {fewest}")
    if judged:
        return RlDecision(everything, "a judge grades answers: no reply is read")
    if readable < FEW_IN_ALL:
        return RlDecision(everything, f"a new clinic: {readable} readable replies, fewer than {FEW_IN_ALL}")
    if not few:
        return RlDecision((), f"not needed here: every question has at least {FEW_LIKE} readable replies to like ones")
    if len(few) < fewest:
        return RlDecision(
            (), f"not needed here: {len(few)} of {len(like)} questions have fewer than {FEW_LIKE} readable replies"
        )
    return RlDecision(few, f"{len(few)} of {len(like)} questions have fewer than {FEW_LIKE} readable replies")
