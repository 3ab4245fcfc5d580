"""The weights behind a program are those it was decided on."""

from __future__ import annotations

import math

import pytest
import torch

from models.encoder import MiniLM
from models.refiner.baselines import RankingRefiner
from models.refiner.inference import PolicyRefiner, compute_choice_probabilities
from models.refiner.interface import STYLES, Caps
from models.refiner.policy import Policy, PolicyConfig


@pytest.mark.parametrize("seed", range(4))
def test_the_weights_of_the_choices_multiply_to_the_programs_probability(world, encoder: MiniLM, seed: int) -> None:
    torch.manual_seed(seed)
    refiner = PolicyRefiner(Policy(PolicyConfig()), encoder, "untrained")
    episode = world.episodes[seed]
    program = refiner.refine(episode.question, episode.segments)
    weights = compute_choice_probabilities(refiner, episode.question, episode.segments, program)
    assert weights is not None
    chosen = [weights.styles[program.style]]
    chosen += [step[key] for step, key in zip(weights.steps, program.picks, strict=False)]
    if len(program.picks) < refiner.caps.picks or weights.stop[-1] > 0.5:
        chosen.append(weights.stop[-1])
    assert math.fsum(map(math.log, chosen)) == pytest.approx(program.log_prob, abs=1e-4)
    assert set(weights.styles) == set(STYLES)


def test_only_open_candidates_have_a_weight(world, encoder: MiniLM) -> None:
    torch.manual_seed(1)
    refiner = PolicyRefiner(Policy(PolicyConfig()), encoder, "untrained")
    episode = world.episodes[0]
    program = refiner.refine(episode.question, episode.segments)
    weights = compute_choice_probabilities(refiner, episode.question, episode.segments, program)
    assert weights is not None
    for i, step in enumerate(weights.steps):
        assert not set(step) & {s.key for s in episode.segments if s.pinned}
        assert not set(step) & set(program.picks[:i])
    left_out = next(s.key for s in episode.free if s.key in weights.steps[0] and s.key not in program.picks)
    assert weights.of(left_out, program.picks) == max(s[left_out] for s in weights.steps if left_out in s)
    assert weights.of(program.picks[0], program.picks) == weights.steps[0][program.picks[0]]


def test_a_rule_weighs_nothing(world, encoder: MiniLM) -> None:
    episode = world.episodes[0]
    ranking = RankingRefiner(Caps())
    program = ranking.refine(episode.question, episode.segments)
    assert compute_choice_probabilities(ranking, episode.question, episode.segments, program) is None
