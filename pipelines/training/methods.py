"""How each ``train.method`` fits a refiner: the steps that the night and the evaluation share.

``grpo`` and ``best_of_k`` start from the champion or from a warm start; ``warm_start`` is that alone; ``fixed``,
``table`` and ``regressor`` fit the same gains without a policy (models/refiner/gain_regressors.py). All face one gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
import torch

from models.encoder import Encoder
from models.refiner import best_of_k, gain_regressors, grpo, rl_need, warm_start
from models.refiner.featurizer import Featurizer
from models.refiner.interface import Caps
from models.refiner.policy import Policy
from models.refiner.policy_config import PolicyConfig
from models.replies.sentences import is_readable
from models.schema import EditProgram, Episode
from pipelines.params import Method, Params, TrainParams
from pipelines.training.gains import EpisodeGains
from pipelines.training.rewards import Rewards

METHODS: tuple[Method, ...] = get_args(Method)
GRPO, WARM_START, BEST_OF_K, *_ = METHODS
BY_GAIN = METHODS[3:]
CONTINUED_SLOWER = 4  # so that a champion moves, and does not start again


def build_prompts(episodes: Sequence[Episode], featurizer: Featurizer, slots: int) -> list[grpo.PolicyPrompt]:
    """Build policy prompts from the first ``slots`` segments of each episode."""
    return [
        grpo.PolicyPrompt(
            e.episode_id,
            tuple(featurizer.add_prompt(e.question, e.segments[:slots])),
            tuple(s.key for s in e.segments[:slots]),
        )
        for e in episodes
    ]


def build_policy(params: Params, seed: int) -> Policy:
    """Build an untrained policy."""
    torch.manual_seed(seed)
    return Policy(PolicyConfig(params.slots, params.train.pick_cap, params.train.token_cap))


def build_reward_function(episodes: Sequence[Episode], reward: Rewards) -> grpo.RewardFunction:
    """Build the reward of programs on these episodes, as GRPO calls it."""
    by_id = {e.episode_id: e for e in episodes}

    def reward_programs(ids: Sequence[str], programs: Sequence[EditProgram]) -> list[float]:
        return [o.reward for o in reward.outcomes([(by_id[i], p) for i, p in zip(ids, programs, strict=True)])]

    return reward_programs


def build_examples(
    gains: Sequence[EpisodeGains],
    prompts: Sequence[grpo.PolicyPrompt],
    guided: Sequence[warm_start.WarmStartExample] = (),
) -> list[warm_start.WarmStartExample]:
    """Convert gains to warm-start examples; ``prompts`` have each episode's rows.

    ``guided`` examples join them, with the mean of their style gains.
    """
    rows = {p.episode: p.rows for p in prompts}
    mean = np.mean([g.styles for g in gains], axis=0) if gains else None
    learnt = [
        warm_start.WarmStartExample(
            question=rows[g.episode.episode_id][0],
            rows=rows[g.episode.episode_id][1:],
            gains=g.useful,
            styles=g.styles,
            uptake=g.uptake,
        )
        for g in gains
    ]
    return [*learnt, *(g if mean is None else replace(g, styles=mean) for g in guided)]


def fit_warm_start(
    policy: Policy, examples: Sequence[warm_start.WarmStartExample], params: TrainParams, seed: int
) -> list[float]:
    """Fit ``policy`` for ``warm_epochs``, or more up to ``warm_steps``; return each epoch's loss."""
    epochs = params.warm_epochs
    if len(examples):
        epochs = max(epochs, -(-params.warm_steps * warm_start.BATCH // len(examples)))
    return warm_start.fit_warm_start(
        policy, examples, epochs=epochs, learning_rate=params.warm_learning_rate, seed=seed
    )


def continue_warm_start(
    policy: Policy, examples: Sequence[warm_start.WarmStartExample], params: TrainParams, seed: int
) -> list[float]:
    """Fit a trained ``policy`` on tonight's labels for ``continued_epochs``; return each epoch's loss."""
    return warm_start.fit_warm_start(
        policy,
        examples,
        epochs=params.continued_epochs,
        learning_rate=params.warm_learning_rate / CONTINUED_SLOWER,
        seed=seed,
    )


def choose_reinforced(
    episodes: Sequence[Episode], encoder: Encoder, params: TrainParams, *, judged: bool
) -> rl_need.RlDecision:
    """Choose the episodes that reinforcement learning is needed for; reads questions, and which replies are read."""
    readable = [
        any(own and is_readable(text) for text, own in zip(e.reply, e.specific, strict=False)) for e in episodes
    ]
    like = rl_need.count_like_replies(encoder.encode([e.question for e in episodes]), readable)
    fewest = params.batch // params.generations
    return rl_need.decide_rl(like.tolist(), sum(readable), judged=judged, fewest=fewest)


def grpo_options(params: TrainParams, steps: int, seed: int) -> grpo.GrpoOptions:
    """Build GRPO's options for ``steps`` steps."""
    return grpo.GrpoOptions(
        steps=steps,
        batch=params.batch,
        generations=params.generations,
        learning_rate=params.learning_rate,
        seed=seed,
    )


def distil_best_of_k(
    policy: Policy,
    prompts: Sequence[grpo.PolicyPrompt],
    reward: grpo.RewardFunction,
    params: TrainParams,
    seed: int,
) -> best_of_k.BestOfKCurves:
    """Distil ``policy`` in place, with as many reward evaluations as GRPO."""
    options = best_of_k.BestOfKOptions(
        samples=params.samples,
        evaluations=params.grpo_steps * params.batch,
        epochs=params.distil_epochs,
        learning_rate=params.distil_learning_rate,
        seed=seed,
    )
    return best_of_k.distil_policy(policy, prompts, reward, options)


def fit_gain_refiner(
    method: Method, gains: Sequence[EpisodeGains], caps: Caps, encoder: Encoder
) -> gain_regressors.GainRefiner:
    """Fit one of ``BY_GAIN`` on measured or predicted gains."""
    measured = to_measured_episodes(gains)
    if method == "fixed":
        return gain_regressors.fit_fixed(measured, caps)
    return (gain_regressors.fit_table if method == "table" else gain_regressors.fit_regressor)(measured, caps, encoder)


def to_measured_episodes(gains: Sequence[EpisodeGains]) -> list[gain_regressors.MeasuredEpisode]:
    """Convert gains to the input of the gain regressors."""
    return [
        gain_regressors.MeasuredEpisode(g.episode.question, g.episode.subject_id, g.segments, g.useful, g.styles)
        for g in gains
    ]
