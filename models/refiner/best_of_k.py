"""Best-of-K distillation: what RL must be worth beside, at the same number of reward evaluations.

    a* = argmax_{k ≤ K} R(a_k),  a_k ~ π_θ(· | q, S),      then θ ← supervised steps towards a*

The policy samples K programs an episode at temperature 1, as GRPO does; only the best is learnt, with the warm start's
own loss: every pick of a* is worth the same, all else is worth less than stopping, so the order of picks is free. An
episode whose programs all come to the same reward teaches nothing and is counted as *dead*; a reward that is not finite
is left out of its episode. Our own: the paper's abstract names no such control.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from models.refiner import warm_start
from models.refiner.actions import STOP
from models.refiner.grpo import EQUAL_REWARDS, PolicyPrompt, RewardFunction
from models.refiner.interface import STYLES
from models.refiner.policy import Policy
from models.schema import EditProgram


@dataclass(frozen=True, slots=True)
class BestOfKOptions:
    """``samples`` is K, ``evaluations`` what the rewards may cost; epochs and learning rate are of distilling."""

    samples: int = 12
    evaluations: int = 256
    epochs: int = 20
    learning_rate: float = 5e-4
    seed: int = 0


@dataclass(slots=True)
class BestOfKCurves:
    """One value an episode: mean and best reward of its programs (nats); then losses an epoch, and what was counted."""

    mean: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    dead: int = 0
    unscored: int = 0
    evaluations: int = 0


def distil_policy(
    policy: Policy, prompts: Sequence[PolicyPrompt], reward: RewardFunction, options: BestOfKOptions
) -> BestOfKCurves:
    """Train ``policy`` in place on its current table, on as many of ``prompts`` as the evaluations pay for."""
    told = BestOfKCurves()
    order = np.random.default_rng(options.seed).permutation(len(prompts))
    affordable = [prompts[i] for i in order[: options.evaluations // options.samples]]
    lessons = []
    for prompt, programs in zip(
        affordable, sample_programs(policy, affordable, options.samples, options.seed), strict=True
    ):
        values = np.array(reward([prompt.episode] * len(programs), programs), dtype=np.float64)
        told.evaluations += len(programs)
        scored = np.isfinite(values)
        told.unscored += int((~scored).sum())
        if not scored.any():
            continue
        told.mean.append(float(values[scored].mean()))
        told.best.append(float(values[scored].max()))
        if np.ptp(values[scored]) < EQUAL_REWARDS:
            told.dead += 1
            continue
        lessons.append(build_example(policy, prompt, programs[int(np.argmax(np.where(scored, values, -np.inf)))]))
    told.loss = warm_start.fit_warm_start(
        policy, lessons, epochs=options.epochs, learning_rate=options.learning_rate, seed=options.seed
    )
    return told


def build_example(policy: Policy, prompt: PolicyPrompt, program: EditProgram) -> warm_start.WarmStartExample:
    """A program as the warm start learns it: its picks are worth a nat each, all else costs one."""
    rows = list(prompt.rows[1:])
    gains = np.array([1.0 if key in program.picks else -1.0 for key in prompt.keys])
    gains[policy.pointer.pinned[rows].numpy()] = np.nan
    styles = np.array([float(style == program.style) for style in STYLES])
    return warm_start.WarmStartExample(
        prompt.rows[0], prompt.rows[1:], gains, styles, policy.pointer.tokens[rows].numpy()
    )


@torch.no_grad()
def sample_programs(
    policy: Policy, prompts: Sequence[PolicyPrompt], samples: int, seed: int
) -> list[list[EditProgram]]:
    """``samples`` programs a prompt, drawn at temperature 1."""
    policy.eval()
    random = torch.Generator().manual_seed(seed)
    return [_sample_episode(policy, prompt, samples, random) for prompt in prompts]


def _sample_episode(policy: Policy, prompt: PolicyPrompt, samples: int, random: torch.Generator) -> list[EditProgram]:
    actions, pointer = policy.config.actions, policy.pointer
    ids = torch.tensor([[actions.size + row for row in prompt.rows]] * samples)
    begin = ids.shape[1]
    heard = pointer.hear(*pointer.slots(ids))
    ended = torch.zeros(samples, dtype=torch.bool)
    for _ in range(policy.config.pick_cap + 2):
        chances = pointer.scores(ids[:, begin - 1 :], heard)[:, -1].softmax(-1)
        action = torch.multinomial(chances, 1, generator=random)[:, 0].masked_fill(ended, STOP)
        ids = torch.cat([ids, action[:, None]], 1)
        ended |= action == STOP
    return [actions.program(drawn, prompt.keys) for drawn in ids[:, begin:].tolist()]
