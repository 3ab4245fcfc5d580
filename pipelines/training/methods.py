"""How a challenger is made, by the parameter ``train.method``; all stand before the same gate.

``grpo`` and ``best_of_k`` go on from the champion or from a warm start; ``warm_start`` is that alone; ``fixed``,
``table`` and ``regressor`` learn from the same single gains without a policy (models/refiner/gain_regressors.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.encoder import Encoder
from models.refiner import best_of_k, gain_regressors, grpo
from models.refiner.interface import Caps
from models.refiner.policy import Policy
from pipelines.training.gains import EpisodeGains
from pmlm.errors import SettingsError

GRPO, WARM_START, BEST_OF_K = "grpo", "warm_start", "best_of_k"
BY_GAIN = ("fixed", "table", "regressor")
METHODS = (GRPO, WARM_START, BEST_OF_K, *BY_GAIN)


def chosen(knobs: dict[str, Any]) -> str:
    """The method that the parameters name; SettingsError where there is none by that name."""
    method = str(knobs["method"])
    if method not in METHODS:
        raise SettingsError(f"params.train.method is {method!r}; it may be {', '.join(METHODS)}")
    return method


def fit_gain_refiner(
    method: str, measured: Sequence[EpisodeGains], limits: Caps, encode: Encoder
) -> gain_regressors.GainRefiner:
    """The alternative of that name, learnt from measured single gains."""
    learnt = to_measured_episodes(measured)
    if method == "fixed":
        return gain_regressors.fit_fixed(learnt, limits)
    return (gain_regressors.fit_table if method == "table" else gain_regressors.fit_regressor)(learnt, limits, encode)


def to_measured_episodes(measured: Sequence[EpisodeGains]) -> list[gain_regressors.MeasuredEpisode]:
    """Measured gains as the alternatives read them."""
    return [
        gain_regressors.MeasuredEpisode(g.episode.question, g.episode.subject_id, g.segments, g.useful, g.styles)
        for g in measured
    ]


def distil_best_of_k(
    policy: Policy, prompts: Sequence[grpo.PolicyPrompt], reward: grpo.RewardFunction, knobs: dict[str, Any], seed: int
) -> best_of_k.BestOfKCurves:
    """Best-of-K distillation of ``policy`` in place, at the reward evaluations that GRPO would ask for."""
    options = best_of_k.BestOfKOptions(
        samples=knobs["samples"],
        evaluations=knobs["grpo_steps"] * knobs["batch"],
        epochs=knobs["distil_epochs"],
        learning_rate=knobs["distil_learning_rate"],
        seed=seed,
    )
    return best_of_k.distil_policy(policy, prompts, reward, options)
