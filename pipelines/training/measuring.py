"""Held-out episodes, each contender's program on each of them, and what every program came to.

The contenders are held to the same caps, except the initial prompt, which is everything. Programs that render the
same prompt are scored once. One unit of work an episode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.encoder import Encoder
from models.refiner.interface import Refiner
from models.reward import ownership
from models.schema import EditProgram, Episode
from pipelines.training.rewards import Outcome, Rewards, trial

OWNER = "refined"  # whose prompts are also tried on another patient's reply


@dataclass(frozen=True, slots=True)
class Measured:
    """One episode: every contender's program and outcome by name, and the refined prompt's ownership (nats)."""

    episode: Episode
    programs: Mapping[str, EditProgram]
    outcomes: Mapping[str, Outcome]
    ownership: float

    def f1(self, name: str) -> float:
        """F1 of a contender's picks with the free facts behind the reply; NaN where none is known."""
        facts = self.episode.facts & {s.key for s in self.episode.free}
        picks = set(self.programs[name].picks)
        return 2 * len(picks & facts) / (len(picks) + len(facts)) if facts else float("nan")


def measure(
    episodes: Sequence[Episode], contenders: Mapping[str, Refiner], rewards: Rewards, encoder: Encoder
) -> list[Measured]:
    """Every contender on every episode, in order."""
    others = another_patients(episodes, encoder)
    return [_one(episode, other, contenders, rewards) for episode, other in zip(episodes, others, strict=True)]


def _one(episode: Episode, other: Episode | None, contenders: Mapping[str, Refiner], rewards: Rewards) -> Measured:
    programs = {name: refiner.refine(episode.question, episode.segments) for name, refiner in contenders.items()}
    outcomes = dict(zip(programs, rewards.outcomes([(episode, program) for program in programs.values()]), strict=True))
    owned = float("nan")
    if other is not None and OWNER in programs:
        swapped = rewards.scores([trial(episode, programs[OWNER], reply_of=other)])[0]
        owned = ownership(outcomes[OWNER].score, swapped)
    return Measured(episode, programs, outcomes, owned)


def another_patients(episodes: Sequence[Episode], encoder: Encoder) -> list[Episode | None]:
    """For each episode the most alike question of another patient in the same split; None where she is alone."""
    if not episodes:
        return []
    likeness = np.round((vectors := encoder.encode([e.question for e in episodes])) @ vectors.T, 5)
    subjects = np.array([e.subject_id for e in episodes])
    splits = np.array([e.split for e in episodes])
    found: list[Episode | None] = []
    for i in range(len(episodes)):
        able = np.flatnonzero((subjects != subjects[i]) & (splits == splits[i]))
        found.append(episodes[able[np.argmax(likeness[i, able])]] if len(able) else None)
    return found
