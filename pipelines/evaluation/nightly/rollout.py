"""Roll out every candidate's program on every held-out episode, and score it.

All candidates have the same caps, except the initial prompt, which is everything. Programs that render the same prompt
are scored once. Several episodes are one unit of work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.encoder import Encoder
from models.refiner.interface import Refiner
from models.reward.terms import ownership
from models.schema import EditProgram, Episode
from pipelines.training.rewards import LARGEST_UNIT, ProgramOutcome, Rewards, build_trial

OWNER = "refined"  # whose prompts are also tried on another patient's reply


@dataclass(frozen=True, slots=True)
class Rollout:
    """One episode: each candidate's program and outcome by name, and the refined ownership (nats, or NaN)."""

    episode: Episode
    programs: Mapping[str, EditProgram]
    outcomes: Mapping[str, ProgramOutcome]
    ownership: float

    def f1(self, name: str) -> float:
        """F1 of a candidate's picks with the free facts behind the reply, or NaN."""
        facts = self.episode.facts & {s.key for s in self.episode.free}
        picks = set(self.programs[name].picks)
        return 2 * len(picks & facts) / (len(picks) + len(facts)) if facts else float("nan")


def run_rollouts(
    episodes: Sequence[Episode],
    candidates: Mapping[str, Refiner],
    rewards: Rewards,
    encoder: Encoder,
    *,
    swapped: bool = True,
) -> list[Rollout]:
    """Roll out every candidate on every episode, in order; one candidate is ``refined``.

    Its prompts are also tried on another patient's reply if ``swapped``; else ownership is NaN.
    """
    others = match_other_patients(episodes, encoder) if swapped else [None] * len(episodes)
    pairs = list(zip(episodes, others, strict=True))
    together = LARGEST_UNIT // len(candidates)
    units = (pairs[i : i + together] for i in range(0, len(pairs), together))
    return [rollout for unit in units for rollout in _roll_out_unit(unit, candidates, rewards)]


def _roll_out_unit(
    pairs: Sequence[tuple[Episode, Episode | None]], candidates: Mapping[str, Refiner], rewards: Rewards
) -> Iterator[Rollout]:
    """Score some episodes, each paired with another patient's, together."""
    programs = [{name: r.refine(e.question, e.segments) for name, r in candidates.items()} for e, _ in pairs]
    cases = [(e, program) for (e, _), chosen in zip(pairs, programs, strict=True) for program in chosen.values()]
    outcomes = iter(rewards.outcomes(cases))
    swaps = [build_trial(e, p[OWNER], reply_of=other) for (e, other), p in zip(pairs, programs, strict=True) if other]
    swapped = iter(rewards.scores(swaps))
    for (episode, other), chosen in zip(pairs, programs, strict=True):
        found = {name: next(outcomes) for name in chosen}
        owned = ownership(found[OWNER].score, next(swapped)) if other else float("nan")
        yield Rollout(episode, chosen, found, owned)


def match_other_patients(episodes: Sequence[Episode], encoder: Encoder) -> list[Episode | None]:
    """Match each episode to another patient's most similar question in its split; None without one."""
    if not episodes:
        return []
    similarity = np.round((vectors := encoder.encode([e.question for e in episodes])) @ vectors.T, 5)
    subjects = np.array([e.subject_id for e in episodes])
    splits = np.array([e.split for e in episodes])
    found: list[Episode | None] = []
    for i in range(len(episodes)):
        others = np.flatnonzero((subjects != subjects[i]) & (splits == splits[i]))
        found.append(episodes[others[np.argmax(similarity[i, others])]] if len(others) else None)
    return found
