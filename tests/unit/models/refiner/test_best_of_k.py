"""Best-of-K distillation learns from the best sampled program, within its evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.refiner import best_of_k, warm_start
from models.refiner.inference import decode_batch
from models.refiner.policy import Policy
from models.schema import EditProgram

OPTIONS = best_of_k.BestOfKOptions(samples=12, evaluations=12 * 40, epochs=15, learning_rate=1e-3)


def _warm(read: Any, world: Any) -> Policy:
    policy = read.policy(seed=3)
    warm_start.fit_warm_start(policy, read.examples(world, 8, noise=0.1), epochs=6, learning_rate=2e-3, seed=0)
    return policy


def _held_out(policy: Policy, read: Any, world: Any) -> float:
    """Mean reward of the greedy program on the last episodes, which nothing is trained on."""
    prompts, episodes = read.prompts[100:], world.episodes[100:]
    chosen, _ = decode_batch(policy, [p.rows for p in prompts])
    programs = [policy.config.actions.program(ids, p.keys) for ids, p in zip(chosen, prompts, strict=True)]
    return float(np.mean([world.worth(e, p) for e, p in zip(episodes, programs, strict=True)]))


def test_it_improves_on_its_warm_start_within_its_evaluations(read, world) -> None:
    policy = _warm(read, world)
    before = _held_out(policy, read, world)
    asked: list[str] = []

    def counted(ids: list[str], programs: list[EditProgram]) -> list[float]:
        asked.extend(ids)
        return world.reward(ids, programs)

    curves = best_of_k.distil_policy(policy, read.prompts[:100], counted, OPTIONS)  # type: ignore[arg-type]
    assert curves.evaluations == len(asked) == 480
    assert len(set(asked)) == 40
    assert np.mean(curves.best) > np.mean(curves.mean)
    assert curves.loss[-1] < curves.loss[0]
    assert _held_out(policy, read, world) > before + 0.05


def test_sampled_programs_obey_the_caps_and_differ(read, world) -> None:
    policy = read.policy(seed=1)
    caps = policy.config.caps
    sampled = best_of_k.sample_programs(policy, read.prompts[:5], 16, 0)
    for episode, programs in zip(world.episodes[:5], sampled, strict=True):
        tokens = {s.key: s.tokens for s in episode.free}
        for program in programs:
            assert len(set(program.picks)) == len(program.picks) <= caps.picks
            assert sum(tokens[k] for k in program.picks) <= caps.tokens
        assert len({p.picks for p in programs}) > 4


def test_the_likeliest_program_of_an_example_is_the_best_one_in_any_order(read, world) -> None:
    policy, prompt = read.policy(), read.prompts[0]
    free = [s.key for s in world.episodes[0].free]
    example = best_of_k.build_example(policy, prompt, EditProgram((free[4], free[2]), "brief"))
    at = {key: prompt.keys.index(key) for key in free}
    picked = {at[free[2]], at[free[4]]}
    for i, label in enumerate(example.labels):
        assert np.isnan(label) if i == 0 else label == pytest.approx(float(i in picked), abs=1e-6)  # 0 is pinned
    assert example.styles.tolist() == [0.0, 1.0, 0.0]


def test_rewards_that_are_all_equal_or_not_finite_teach_nothing_and_are_counted(read) -> None:
    policy = read.policy(seed=2)
    before = {k: v.clone() for k, v in policy.state_dict().items()}
    small = best_of_k.BestOfKOptions(samples=4, evaluations=12)
    curves = best_of_k.distil_policy(policy, read.prompts[:10], lambda ids, _: [0.5] * len(ids), small)
    assert (curves.dead, curves.evaluations, curves.loss) == (3, 12, [])
    curves = best_of_k.distil_policy(policy, read.prompts[:10], lambda ids, _: [float("nan")] * len(ids), small)
    assert (curves.unscored, curves.best) == (12, [])
    assert all(torch.equal(before[k], v) for k, v in policy.state_dict().items())
