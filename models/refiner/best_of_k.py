"""Best-of-K distillation: the control for RL at the same number of reward evaluations.

    a* = argmax_{k ≤ K} R(a_k),  a_k ~ π_θ(· | q, S),      then θ ← supervised steps towards a*

Departures from best-of-n sampling with supervised fine-tuning (RAFT):
1. The loss is the warm start's, not log-likelihood of a*: every pick of a* has gain 1, every other segment −1, so the
   order of picks is free.
2. A zero-variance episode (all K rewards equal) is skipped and counted; a reward that is not finite is left out.
3. One round on the initial policy, with as many episodes as the evaluations pay for: K times episodes, as GRPO spends.

Run: ``pmlm train`` with ``train.method: best_of_k`` in ``clinic.yaml``.
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
    """``samples`` is K; ``evaluations`` bounds reward evaluations; epochs and rate are the fine-tuning's."""

    samples: int = 12
    evaluations: int = 256
    epochs: int = 20
    learning_rate: float = 5e-4
    seed: int = 0


@dataclass(slots=True)
class BestOfKCurves:
    """Rewards per episode (nats), loss per epoch, and counts; written to ``metrics/train.json``.

    ``dead`` counts zero-variance episodes (the JSON key is frozen), ``unscored`` rewards that are not finite.
    """

    mean: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    dead: int = 0
    unscored: int = 0
    evaluations: int = 0


def distil_policy(
    policy: Policy, prompts: Sequence[PolicyPrompt], reward: RewardFunction, options: BestOfKOptions
) -> BestOfKCurves:
    """Fine-tune ``policy`` in place on the best program of each affordable prompt."""
    curves = BestOfKCurves()
    order = np.random.default_rng(options.seed).permutation(len(prompts))
    affordable = [prompts[i] for i in order[: options.evaluations // options.samples]]
    sampled = sample_programs(policy, affordable, options.samples, options.seed)
    examples = []
    for prompt, programs in zip(affordable, sampled, strict=True):
        values = np.array(reward([prompt.episode] * len(programs), programs), dtype=np.float64)
        curves.evaluations += len(programs)
        scored = np.isfinite(values)
        curves.unscored += int((~scored).sum())
        if not scored.any():
            continue
        curves.mean.append(float(values[scored].mean()))
        curves.best.append(float(values[scored].max()))
        if np.ptp(values[scored]) < EQUAL_REWARDS:
            curves.dead += 1
            continue
        examples.append(build_example(policy, prompt, programs[int(np.argmax(np.where(scored, values, -np.inf)))]))
    curves.loss = warm_start.fit_warm_start(
        policy, examples, epochs=options.epochs, learning_rate=options.learning_rate, seed=options.seed
    )
    return curves


def build_example(policy: Policy, prompt: PolicyPrompt, program: EditProgram) -> warm_start.WarmStartExample:
    """Convert a program to a warm-start example: picks gain a nat, all else loses one."""
    rows = list(prompt.rows[1:])
    gains = np.array([1.0 if key in program.picks else -1.0 for key in prompt.keys])
    gains[policy.pointer.pinned[rows].numpy()] = np.nan
    styles = np.array([float(style == program.style) for style in STYLES])
    return warm_start.WarmStartExample(prompt.rows[0], prompt.rows[1:], gains, styles)


@torch.no_grad()
def sample_programs(
    policy: Policy, prompts: Sequence[PolicyPrompt], samples: int, seed: int
) -> list[list[EditProgram]]:
    """Sample ``samples`` programs per prompt at temperature 1."""
    policy.eval()
    random = torch.Generator().manual_seed(seed)
    return [_sample_episode(policy, prompt, samples, random) for prompt in prompts]


def _sample_episode(policy: Policy, prompt: PolicyPrompt, samples: int, random: torch.Generator) -> list[EditProgram]:
    actions, pointer = policy.config.actions, policy.pointer
    ids = torch.tensor([[actions.size + row for row in prompt.rows]] * samples)
    begin = ids.shape[1]
    state = pointer.encode_state(*pointer.find_slots(ids))
    ended = torch.zeros(samples, dtype=torch.bool)
    for _ in range(policy.config.pick_cap + 2):
        probabilities = pointer.score_actions(ids[:, begin - 1 :], state)[:, -1].softmax(-1)
        action = torch.multinomial(probabilities, 1, generator=random)[:, 0].masked_fill(ended, STOP)
        ids = torch.cat([ids, action[:, None]], 1)
        ended |= action == STOP
    return [actions.program(drawn, prompt.keys) for drawn in ids[:, begin:].tolist()]
