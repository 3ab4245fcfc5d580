"""Learn the style alone from patients' ratings of served answers, picks frozen.

    rated answers → matched episodes → r̂ (``models.reward.style_ratings``) → GRPO on the style's weights

At no reward evaluation. Only patients of the train split teach.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.encoder import Encoder
from models.feedback import Feedback
from models.refiner import grpo
from models.refiner.policy import Policy
from models.reward.style_ratings import RatedStyle, StyleReward, encode_preference, fit_style_reward
from models.schema import EditProgram, Episode

STEPS = 40
RATE = 5e-3  # learning rate of the style's one layer, which moves no pick
NOT_ENOUGH = "not learnt: too few rated answers of like questions"


def learn_style(
    policy: Policy,
    prompts: Sequence[grpo.PolicyPrompt],
    episodes: Sequence[Episode],
    rated: Sequence[tuple[Feedback, Episode]],
    encoder: Encoder,
    seed: int,
) -> str:
    """Train ``policy`` in place on its current table; say what it learnt from, or why not."""
    reward = fit_style_reward([_to_rated_style(one, episode, encoder) for one, episode in rated])
    if reward is None or not prompts:
        return NOT_ENOUGH
    options = grpo.GrpoOptions(steps=STEPS, learning_rate=RATE, seed=seed, styles_only=True)
    grpo.train_grpo(policy, len(policy.pointer.embedding), prompts, _build_reward(reward, episodes, encoder), options)
    return f"learnt from {len(rated)} rated answers, picks frozen"


def _to_rated_style(one: Feedback, episode: Episode, encoder: Encoder) -> RatedStyle:
    preference = encode_preference(episode, encoder)
    return RatedStyle(one.subject, one.style, len(one.picks), preference, float(one.points or 0.0))


def _build_reward(reward: StyleReward, episodes: Sequence[Episode], encoder: Encoder) -> grpo.RewardFunction:
    preferences = {e.episode_id: encode_preference(e, encoder) for e in episodes}

    def of_programs(ids: Sequence[str], programs: Sequence[EditProgram]) -> list[float]:
        return [round(reward.predict(p.style, preferences[i]), 6) for i, p in zip(ids, programs, strict=True)]

    return of_programs
