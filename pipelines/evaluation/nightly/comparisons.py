"""Compare challenger and champion on the gate split: overall, by slice, by seed, in safety.

    paired    whole reward, challenger minus champion, per episode with the patient's number
    slices    the same mean by age band, trimester, language and length of record; p of no worse (sign flips)
    seeds     the same mean for the challenger and for each repetition of its training with another seed
    safety    red_flag_recall    share of questions, a warning sign added, that escalate under the prompt's safety rule
              pinned_present     share of prompts with every pinned fact before any chosen one
              contradictions     sentences that contradict a pinned fact, over all prompts
    picked    kinds of the sentences that the challenger chose

No patient is identified; a slice is a count and a mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.prompt.personalize import apply_program
from models.refiner.interface import Refiner
from models.schema import EditProgram, Episode
from pipelines import splits
from pipelines.evaluation.nightly.intervals import bootstrap_mean, flip_signs
from pipelines.evaluation.nightly.prompt_checks import (
    WARNING,
    check_pinned_first,
    escalates_warning,
    find_contradicted,
)
from pipelines.evaluation.nightly.rollout import Rollout
from pipelines.evaluation.nightly.slices import SLICES
from pipelines.training.rewards import LARGEST_UNIT, Rewards

CHALLENGER, CHAMPION = "refined", "champion"  # as the rollouts name them


def compare(
    rollouts: Sequence[Rollout], refiners: Mapping[str, Refiner], repeats: Sequence[Refiner], reward: Rewards
) -> dict[str, Any]:
    """Make all comparisons on the gate split; ``repeats`` are the challenger's trainings with other seeds."""
    ours = [r for r in rollouts if r.episode.split == splits.GATE]
    differences = [_gain(r) for r in ours]
    safety, champions = (check_safety(ours, refiners[name]) for name in (CHALLENGER, CHAMPION))
    return {
        "paired": pair_rewards(ours, differences),
        "slices": list(compare_slices(ours, differences)),
        "seeds": [mean for mean in (_mean(differences), *_score_repeats(ours, repeats, reward)) if mean is not None],
        "safety": {name: {"challenger": safety[name], "champion": value} for name, value in champions.items()},
        "picked": sorted({s.kind for r in ours for s in r.episode.free if s.key in r.programs[CHALLENGER].picks}),
    }


def pair_rewards(rollouts: Sequence[Rollout], differences: Sequence[float]) -> dict[str, list[Any]]:
    """Whole reward of challenger minus champion per gate episode, with the patient's number."""
    numbers = {subject: i for i, subject in enumerate(sorted({r.episode.subject_id for r in rollouts}))}
    return {"patient": [numbers[r.episode.subject_id] for r in rollouts], "difference": list(differences)}


def compare_slices(rollouts: Sequence[Rollout], differences: Sequence[float]) -> Iterator[dict[str, Any]]:
    """Yield the mean difference in each slice, and the chance of one as bad if the challenger is no worse there."""
    for kind, read in SLICES.items():
        for name in sorted({read(r.episode) for r in rollouts}):
            ours = [i for i, r in enumerate(rollouts) if read(r.episode) == name]
            values, subjects = [differences[i] for i in ours], [rollouts[i].episode.subject_id for i in ours]
            estimate = bootstrap_mean(values, subjects, draws=1)
            yield {
                "slice": f"{kind} {name}",
                "n": estimate.n,
                "patients": estimate.patients,
                "difference": round(estimate.value, 6),
                "p_no_worse": round(flip_signs(values, subjects), 6),
            }


def check_safety(rollouts: Sequence[Rollout], refiner: Refiner) -> dict[str, float | int | None]:
    """Check a refiner's prompts for the gate's questions, each also with a warning sign added."""
    prompts = [_refine(r.episode, refiner, r.episode.question) for r in rollouts]
    warned = [_refine(r.episode, refiner, f"{r.episode.question} {WARNING}") for r in rollouts]
    episodes = [r.episode for r in rollouts]
    escalated = [escalates_warning(e) and check_pinned_first(e, p) for e, p in zip(episodes, warned, strict=True)]
    pinned = [check_pinned_first(e, p) for e, p in zip(episodes, prompts, strict=True)]
    return {
        "red_flag_recall": _mean([float(one) for one in escalated]),
        "pinned_present": _mean([float(one) for one in pinned]),
        "contradictions": sum(len(find_contradicted(e, p)) for e, p in zip(episodes, prompts, strict=True)),
    }


def _refine(episode: Episode, refiner: Refiner, question: str) -> str:
    return apply_program(episode.segments, refiner.refine(question, episode.segments))[0]


def _score_repeats(rollouts: Sequence[Rollout], repeats: Sequence[Refiner], reward: Rewards) -> Iterator[float | None]:
    """Yield each repetition's mean difference from the champion."""
    for refiner in repeats:
        cases: list[tuple[Episode, EditProgram]] = [
            (r.episode, refiner.refine(r.episode.question, r.episode.segments)) for r in rollouts
        ]
        units = (cases[i : i + LARGEST_UNIT] for i in range(0, len(cases), LARGEST_UNIT))
        outcomes = [outcome for unit in units for outcome in reward.outcomes(unit)]
        yield _mean([o.reward - r.outcomes[CHAMPION].reward for o, r in zip(outcomes, rollouts, strict=True)])


def _gain(rollout: Rollout) -> float:
    return round(rollout.outcomes[CHALLENGER].reward - rollout.outcomes[CHAMPION].reward, 6)


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 6) if values else None
