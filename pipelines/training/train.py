"""Stage ``train``: tonight's challenger, from the champion if it is a policy of this system, else from a warm start.

Episodes of the train split → what each segment is worth alone (within a budget) → supervised warm start → GRPO on the
whole reward, or another of the methods (``methods.py``). From a champion only GRPO runs, and fewer steps of it: a night
goes on where the last one stopped. The result depends on episodes, parameters, champion and night alone; one torch
thread, seeded, so that a rerun gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.refiner import best_of_k, checkpoint, grpo, warm_start
from models.refiner.featurizer import Featurizer
from models.refiner.policy import Policy, PolicyConfig
from models.schema import EditProgram, Episode
from pipelines import splits
from pipelines.determinism import deterministic_torch
from pipelines.embedding_cache import CachedEncoder, open_encoder
from pipelines.episodes import episode_file
from pipelines.params import load_params
from pipelines.runs import StageSummary, stage_run
from pipelines.training import champion, gains, label_propagation, methods, rewards
from pipelines.training.model_card import render_card
from pipelines.training.provenance import WARM_START, caps, current_provenance, slots
from pmlm.errors import TrainingError
from pmlm.settings import Settings
from pmlm.storage import hash_files, write_json

Params = dict[str, dict[str, Any]]


@dataclass(slots=True)
class TrainingMetrics:
    """What a training did; ``metrics/train.json``. ``validity`` is the AUC of single gains where facts are known,
    ``told`` the correlation of single gains with those read off the replies (None: only measured ones were used)."""

    start: str
    episodes: int
    patients: int
    measured: int = 0
    validity: float | None = None
    labelled: int = 0
    told: float | None = None
    warm_loss: list[float] = field(default_factory=list)
    grpo: grpo.GrpoCurves = field(default_factory=grpo.GrpoCurves)
    distilled: best_of_k.BestOfKCurves | None = None
    evaluations: int = 0


def run(settings: Settings, night: str) -> StageSummary:
    """Write ``models/challenger`` and ``metrics/train.json``; status ``hold``, and no challenger, without episodes."""
    with stage_run(settings, night, "train") as summary:
        params = load_params(settings)
        episodes = [e for e in episode_file.read_episodes(settings) if e.split == splits.TRAIN]
        summary.rows_in = len(episodes)
        target = settings.models / "challenger"
        if len(episodes) < splits.FEWEST_TO_TRAIN_ON:
            summary.status, summary.detail = "hold", f"{len(episodes)} episodes to train on"
            with champion.replace_folder(target):
                pass  # an empty folder: there is no challenger tonight
            write_json(settings.metrics / "train.json", {"status": "hold", "why": summary.detail})
            return summary
        with (
            deterministic_torch(),
            rewards.open_rewards(settings, params["train"]["token_price"]) as reward,
            open_encoder(settings) as encode,
            champion.replace_folder(target) as part,
        ):
            training = train(
                episodes, params, night, reward, encode, load_starting_policy(settings, night, params), part
            )
        write_json(settings.metrics / "train.json", {"status": "done", **round_metrics(training)})
        summary.rows_out = 1
        summary.hashes = {"weights": hash_files([target / checkpoint.WEIGHTS])}
        summary.figures = {"start": training.start, "evaluations": training.evaluations, "measured": training.measured}
        summary.detail = training.grpo.stopped
    return summary


def load_starting_policy(settings: Settings, night: str, params: Params) -> Policy | None:
    """The champion's policy, if it is one and was made with what this system is made with; else None."""
    faced = champion.find_incumbent(settings, night)
    if faced is None or faced.kind != "policy":
        return None
    if methods.chosen(params["train"]) not in (methods.GRPO, methods.BEST_OF_K):
        return None
    folder = champion.find_champion_folder(settings, faced)
    try:
        policy = checkpoint.load_policy(folder)
    except checkpoint.OutdatedCheckpointError:
        return None
    same = checkpoint.read_description(folder)["origin"] == asdict(current_provenance())
    return policy if same and policy.config.caps == caps(params) and policy.config.slots == slots(params) else None


def train(
    episodes: Sequence[Episode],
    params: Params,
    night: str,
    reward: rewards.Rewards,
    encode: CachedEncoder,
    start: Policy | None,
    target: Path,
) -> TrainingMetrics:
    """Train a challenger and write it into the folder ``target``, its warm start beside it where there was one."""
    knobs = params["train"]
    seed = int(knobs["seed"]) + int(night)
    method = methods.chosen(knobs)
    training = TrainingMetrics(
        "champion" if start else "warm start", len(episodes), len({e.subject_id for e in episodes})
    )
    reader = Featurizer(encode)
    visible = slots(params)
    if method in methods.BY_GAIN:
        refiner = methods.fit_gain_refiner(
            method, _labels(episodes, knobs, visible, reward, encode, training), caps(params), encode
        )
        training.start, training.evaluations = "single gains", reward.asked
        checkpoint.save_gain_refiner(target, refiner, current_provenance(), render_card(night, params, training))
        return training
    prompts = as_prompts(episodes, reader, visible)
    table = reader.build_table()
    policy = start or fresh(params, seed)
    policy.pointer.set_table(table)
    if start is None:
        _warm(policy, episodes, prompts, knobs, seed, reward, encode, training)
        checkpoint.save_policy(target / WARM_START, policy, current_provenance(), render_card(night, params, training))
    if method == methods.GRPO:
        asked = options(knobs if start is None else knobs | {"grpo_steps": knobs["continued_steps"]}, seed)
        training.grpo = grpo.train_grpo(policy, len(table), prompts, rewarded(episodes, reward), asked)
    elif method == methods.BEST_OF_K:
        training.distilled = methods.distil_best_of_k(policy, prompts, rewarded(episodes, reward), knobs, seed)
    training.evaluations = reward.asked
    if not all(bool(p.isfinite().all()) for p in policy.parameters()):
        raise TrainingError("training ended with weights that are not finite")
    checkpoint.save_policy(target, policy, current_provenance(), render_card(night, params, training))
    return training


def as_prompts(episodes: Sequence[Episode], reader: Featurizer, visible: int) -> list[grpo.PolicyPrompt]:
    """Episodes as the policy reads them, the first ``visible`` segments of each."""
    return [
        grpo.PolicyPrompt(
            e.episode_id,
            tuple(reader.add_prompt(e.question, e.segments[:visible])),
            tuple(s.key for s in e.segments[:visible]),
        )
        for e in episodes
    ]


def fresh(params: Params, seed: int) -> Policy:
    """A policy that knows nothing yet."""
    torch.manual_seed(seed)
    knobs = params["train"]
    return Policy(PolicyConfig(slots=slots(params), pick_cap=knobs["pick_cap"], token_cap=knobs["token_cap"]))


def _warm(
    policy: Policy,
    episodes: Sequence[Episode],
    prompts: Sequence[grpo.PolicyPrompt],
    knobs: dict[str, Any],
    seed: int,
    reward: rewards.Rewards,
    encode: CachedEncoder,
    training: TrainingMetrics,
) -> None:
    """Measure single gains within the budget, read the rest off the replies, and fit the policy to them."""
    labelled = _labels(episodes, knobs, policy.config.slots, reward, encode, training)
    training.warm_loss = warm(policy, examples(labelled, prompts), knobs, seed)


def warm(
    policy: Policy, taught: Sequence[warm_start.WarmStartExample], knobs: dict[str, Any], seed: int
) -> list[float]:
    """The supervised warm start, a thousand steps at least however few the episodes; the loss of each epoch."""
    epochs = knobs["warm_epochs"]
    if len(taught):
        epochs = max(epochs, -(-knobs["warm_steps"] * warm_start.BATCH // len(taught)))
    return warm_start.fit_warm_start(
        policy, taught, epochs=epochs, learning_rate=knobs["warm_learning_rate"], seed=seed
    )


def _labels(
    episodes: Sequence[Episode],
    knobs: dict[str, Any],
    visible: int,
    reward: rewards.Rewards,
    encode: CachedEncoder,
    training: TrainingMetrics,
) -> list[gains.EpisodeGains]:
    """The single gains that the budget pays for, and from them those of all training episodes."""
    chosen = gains.select_affordable(episodes, knobs["gain_evaluations"], visible)
    measured = [gains.measure_gains(reward, episode, visible) for episode in chosen]
    training.measured = len(measured)
    training.validity = gains.compute_gain_auc(measured)
    found = label_propagation.propagate_labels(measured, episodes, encode, visible)
    training.labelled, training.told = len(found.gains), found.told
    return found.gains


def examples(
    measured: Sequence[gains.EpisodeGains], prompts: Sequence[grpo.PolicyPrompt]
) -> list[warm_start.WarmStartExample]:
    """Measured gains as the warm start reads them; ``prompts`` hold each episode's rows."""
    rows = {p.episode: p.rows for p in prompts}
    return [
        warm_start.WarmStartExample(
            question=rows[g.episode.episode_id][0],
            rows=rows[g.episode.episode_id][1:],
            gains=g.useful,
            styles=g.styles,
            tokens=np.array([s.tokens for s in g.segments]),
        )
        for g in measured
    ]


def rewarded(episodes: Sequence[Episode], reward: rewards.Rewards) -> grpo.RewardFunction:
    """The whole reward of programs on these episodes, as GRPO asks for it."""
    by_id = {e.episode_id: e for e in episodes}

    def of_programs(ids: Sequence[str], programs: Sequence[EditProgram]) -> list[float]:
        return [o.reward for o in reward.outcomes([(by_id[i], p) for i, p in zip(ids, programs, strict=True)])]

    return of_programs


def options(knobs: dict[str, Any], seed: int) -> grpo.GrpoOptions:
    """What the parameters say of GRPO."""
    return grpo.GrpoOptions(
        steps=knobs["grpo_steps"],
        batch=knobs["batch"],
        generations=knobs["generations"],
        learning_rate=knobs["learning_rate"],
        seed=seed,
    )


def round_metrics(training: TrainingMetrics) -> dict[str, Any]:
    """``TrainingMetrics`` as JSON, every number rounded to what a rerun repeats; NaN has no place in it."""
    return {name: _rounded(value) for name, value in asdict(training).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value
