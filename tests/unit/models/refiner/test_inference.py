"""The reported probabilities of a program are those it was decoded with."""

from __future__ import annotations

import math

import pytest
import torch

from models.encoder import MiniLM
from models.refiner.baselines import RankingRefiner
from models.refiner.inference import PolicyRefiner, compute_choice_probabilities
from models.refiner.interface import STYLES, Caps
from models.refiner.policy import Policy
from models.refiner.policy_config import PolicyConfig


@pytest.mark.parametrize("seed", range(4))
def test_the_probabilities_of_the_choices_multiply_to_the_programs(world, encoder: MiniLM, seed: int) -> None:
    torch.manual_seed(seed)
    refiner = PolicyRefiner(Policy(PolicyConfig()), encoder, "untrained")
    episode = world.episodes[seed]
    program = refiner.refine(episode.question, episode.segments)
    found = compute_choice_probabilities(refiner, episode.question, episode.segments, program)
    assert found is not None
    chosen = [found.styles[program.style]]
    chosen += [step[key] for step, key in zip(found.steps, program.picks, strict=False)]
    chosen.append(found.stop[-1])
    assert math.fsum(map(math.log, chosen)) == pytest.approx(program.log_prob, abs=1e-4)
    assert set(found.styles) == set(STYLES)


def test_only_open_candidates_have_a_probability(world, encoder: MiniLM) -> None:
    torch.manual_seed(1)
    refiner = PolicyRefiner(Policy(PolicyConfig()), encoder, "untrained")
    episode = world.episodes[0]
    program = refiner.refine(episode.question, episode.segments)
    found = compute_choice_probabilities(refiner, episode.question, episode.segments, program)
    assert found is not None
    for i, step in enumerate(found.steps):
        assert not set(step) & {s.key for s in episode.segments if s.pinned}
        assert not set(step) & set(program.picks[:i])
    left_out = next(s.key for s in episode.free if s.key in found.steps[0] and s.key not in program.picks)
    assert found.of_segment(left_out, program.picks) == max(s[left_out] for s in found.steps if left_out in s)
    assert found.of_segment(program.picks[0], program.picks) == found.steps[0][program.picks[0]]


def test_a_rule_has_no_probabilities(world, encoder: MiniLM) -> None:
    episode = world.episodes[0]
    ranking = RankingRefiner(Caps())
    program = ranking.refine(episode.question, episode.segments)
    assert compute_choice_probabilities(ranking, episode.question, episode.segments, program) is None
