"""Warm start and GRPO: what they learn and count, and that reruns give equal bytes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.refiner import grpo, warm_start
from models.refiner.inference import decode_batch
from models.refiner.policy import Policy
from models.schema import EditProgram

HELD_OUT = slice(110, 160)


def _programs(policy: Policy, read, where: slice) -> list[EditProgram]:
    policy.pointer.set_table(read.table)
    ids, _ = decode_batch(policy.eval(), [p.rows for p in read.prompts[where]])
    actions = policy.config.actions
    return [actions.program(i, p.keys) for i, p in zip(ids, read.prompts[where], strict=True)]


def _held_out_reward(policy: Policy, read, world) -> np.ndarray:
    return np.array(world.reward([p.episode for p in read.prompts[HELD_OUT]], _programs(policy, read, HELD_OUT)))


def _warm(read, world, episodes: int = 40) -> Policy:
    policy = read.policy()
    examples = read.examples(world, episodes)
    warm_start.fit_warm_start(policy, examples, epochs=30, learning_rate=2e-3, seed=0)
    return policy


def test_the_warm_start_learns_what_matters_from_noisy_single_gains(read, world) -> None:
    untrained = _held_out_reward(read.policy(), read, world)
    warm = _held_out_reward(_warm(read, world), read, world)
    assert warm.mean() > untrained.mean() + 0.3


def test_rl_improves_on_its_warm_start_on_held_out_episodes(read, world) -> None:
    policy = _warm(read, world)
    before = _held_out_reward(policy, read, world)
    options = grpo.GrpoOptions(steps=60, learning_rate=5e-4)
    curves = grpo.train_grpo(policy, len(read.table), read.prompts[:110], world.reward, options)
    after = _held_out_reward(policy, read, world)
    gain = after - before
    assert gain.mean() > 2 * gain.std() / math.sqrt(len(gain))
    assert len(curves.reward) == len(curves.dead) == len(curves.entropy) == len(curves.picks) == 60


def test_the_same_run_gives_the_same_weights(read, world) -> None:
    first, second = (_warm(read, world, episodes=10) for _ in range(2))
    for policy in (first, second):
        grpo.train_grpo(policy, len(read.table), read.prompts[:20], world.reward, grpo.GrpoOptions(steps=2))
    for name, value in first.state_dict().items():
        assert value.equal(second.state_dict()[name]), name


def test_groups_without_variance_are_counted_and_teach_nothing(read) -> None:
    policy = read.policy()
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    curves = grpo.train_grpo(
        policy, len(read.table), read.prompts[:20], lambda ids, programs: [1.0] * len(ids), grpo.GrpoOptions(steps=2)
    )
    assert curves.dead == [1.0, 1.0]
    assert all(value.allclose(before[name]) for name, value in policy.state_dict().items())


def test_a_weight_that_becomes_nan_stops_training_and_the_last_good_step_is_kept(read, world) -> None:
    policy = read.policy()
    calls = 0

    def breaking(ids, programs):
        nonlocal calls
        calls += 1
        if calls == 3:
            policy.pointer.stop.weight.data.fill_(math.nan)
        return world.reward(ids, programs)

    curves = grpo.train_grpo(policy, len(read.table), read.prompts[:20], breaking, grpo.GrpoOptions(steps=6))
    assert "step 3" in curves.stopped
    assert calls == 3
    healthy = read.policy()
    grpo.train_grpo(healthy, len(read.table), read.prompts[:20], world.reward, grpo.GrpoOptions(steps=2))
    assert all(value.equal(healthy.state_dict()[name]) for name, value in policy.state_dict().items())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_reward_that_is_not_finite_is_left_out_and_counted(read, world, value) -> None:
    policy = read.policy()

    def holed(ids, programs):
        return [value, *world.reward(ids, programs)[1:]]

    curves = grpo.train_grpo(policy, len(read.table), read.prompts[:20], holed, grpo.GrpoOptions(steps=2))
    assert curves.unscored == 2
    assert all(math.isfinite(r) for r in curves.reward)
    assert all(bool(weight.isfinite().all()) for weight in policy.state_dict().values())


def test_a_policy_may_be_trained_for_no_steps_at_all(read, world) -> None:
    assert (
        grpo.train_grpo(
            read.policy(), len(read.table), read.prompts[:4], world.reward, grpo.GrpoOptions(steps=0)
        ).reward
        == []
    )


def test_labels_from_gains_are_probabilities_and_pinned_segments_have_none() -> None:
    gains = np.array([0.4, 0.0, -0.4, math.nan])
    labels = warm_start.WarmStartExample(0, (1, 2, 3, 4), gains, np.zeros(3)).labels
    np.testing.assert_allclose(labels[:3], [1.0, 0.5, 0.0], atol=1e-6)
    assert math.isnan(labels[3])


def test_a_probability_is_how_often_a_segment_like_it_was_taken_up(read, world) -> None:
    """Labels drawn with chance 0.7 and 0.1: the fitted probabilities are those, not 1 and 0."""
    random = np.random.default_rng(4)
    policy = read.policy()
    examples = [
        replace(
            example,
            uptake=np.array([
                math.nan if s.pinned else float(random.random() < (0.7 if s.key in e.facts else 0.1))
                for s in e.segments
            ]),
        )
        for e, example in zip(world.episodes, read.examples(world, HELD_OUT.start), strict=False)
    ]  # fmt: skip
    warm_start.fit_warm_start(policy, examples, epochs=20, learning_rate=2e-3, seed=0)
    likely, unlikely = [], []
    for e, p in zip(world.episodes[HELD_OUT], read.prompts[HELD_OUT], strict=True):
        ids = torch.tensor([[policy.config.vocab_size + row for row in p.rows]])
        state = policy.pointer.encode_state(*policy.pointer.find_slots(ids))
        chances = policy.pointer.score_segments(state).sigmoid()[0, : len(e.segments)].tolist()
        for s, chance in zip(e.segments, chances, strict=True):
            if not s.pinned:
                (likely if s.key in e.facts else unlikely).append(chance)
    assert np.mean(unlikely) == pytest.approx(0.1, abs=0.08)
    assert 0.45 < np.mean(likely) < 0.8
