"""Held-out episodes, each contender's program on each of them, and what every program came to.

The contenders are held to the same caps, except the initial prompt, which is everything. Programs that render the
same prompt are scored once. Several episodes are one unit of work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.encoder import Encoder
from models.refiner.interface import Refiner
from models.reward.terms import ownership
from models.schema import EditProgram, Episode
from pipelines.training.rewards import LARGEST_UNIT, Outcome, Rewards, trial

OWNER = "refined"  # whose prompts are also tried on another patient's reply


@dataclass(frozen=True, slots=True)
class Rollout:
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


def run_rollouts(
    episodes: Sequence[Episode], contenders: Mapping[str, Refiner], rewards: Rewards, encoder: Encoder
) -> list[Rollout]:
    """Every contender on every episode, in order; one of them is called ``refined``."""
    pairs = list(zip(episodes, match_other_patients(episodes, encoder), strict=True))
    together = LARGEST_UNIT // len(contenders)
    units = (pairs[i : i + together] for i in range(0, len(pairs), together))
    return [measured for unit in units for measured in _roll_out_unit(unit, contenders, rewards)]


def _roll_out_unit(
    pairs: Sequence[tuple[Episode, Episode | None]], contenders: Mapping[str, Refiner], rewards: Rewards
) -> Iterator[Rollout]:
    """Some episodes, each with another patient's, scored together."""
    programs = [{name: r.refine(e.question, e.segments) for name, r in contenders.items()} for e, _ in pairs]
    cases = [(e, program) for (e, _), chosen in zip(pairs, programs, strict=True) for program in chosen.values()]
    outcomes = iter(rewards.outcomes(cases))
    swaps = [trial(e, p[OWNER], reply_of=other) for (e, other), p in zip(pairs, programs, strict=True) if other]
    swapped = iter(rewards.scores(swaps))
    for (episode, other), chosen in zip(pairs, programs, strict=True):
        found = {name: next(outcomes) for name in chosen}
        owned = ownership(found[OWNER].score, next(swapped)) if other else float("nan")
        yield Rollout(episode, chosen, found, owned)


def match_other_patients(episodes: Sequence[Episode], encoder: Encoder) -> list[Episode | None]:
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
