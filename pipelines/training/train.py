"""Stage ``train``: train tonight's challenger from the champion, or from a warm start.

Where the night has no cause to train (``retraining``), it says why, and the last challenger stays as it is.

    episodes → gains → warm start (only without a champion to continue) → GRPO or ``train.method`` → challenger

The fit to labels is repeated with ``train.seeds`` − 1 other seeds, so that the gate sees whether the seed decides
(``seeds/1``, …); RL is repeated only where no label is learnt from, because its rewards are what a night waits for.

The champion is continued where it is a policy of equal provenance: by ``continued_epochs`` on tonight's labels, and
with fewer GRPO steps (``continued_steps``). GRPO runs on the questions that need it (``models.refiner.rl_need``); where
none does, ``metrics/train.json`` and the night say why. The result depends on episodes, parameters, champion, night and
the ratings given by its end: seeded and with one torch thread, a rerun gives the same bytes.

Run: ``pmlm train``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from models.feedback import Feedback
from models.refiner import best_of_k, checkpoint, grpo, rl_need
from models.refiner.featurizer import Featurizer
from models.refiner.policy import Policy
from models.replies.alignment import AlignmentCounts
from models.schema import Episode
from pipelines import splits, tombstones
from pipelines.determinism import deterministic_torch
from pipelines.embedding_cache import CachedEncoder, open_encoder
from pipelines.episodes import episode_file
from pipelines.params import Params, load_params
from pipelines.runs import StageSummary, stage_run
from pipelines.training import (
    champion,
    gains,
    guidance,
    label_propagation,
    measured_set,
    methods,
    retraining,
    rewards,
    style,
)
from pipelines.training.model_card import render_card
from pipelines.training.provenance import SEEDS, WARM_START, current_provenance, load_continuable
from pipelines.training.rated_answers import match_episodes, read_rated
from pmlm.errors import TrainingError
from pmlm.settings import Settings
from pmlm.storage import hash_files, write_json

SEED_STEP = 100_000_000  # between repetitions, so that no two nights' seeds coincide


@dataclass(slots=True)
class TrainingMetrics:
    """Figures of a training, as in ``metrics/train.json``, so the names of the fields are frozen.

    ``validity`` is the AUC of measured gains where facts are known; ``told`` the correlation of predicted and measured
    gains (None: none was fitted); ``guided`` counts examples made of guidance alone; ``reading`` counts reply sentences
    read and not; ``rl_episodes`` counts the episodes that GRPO learnt from, ``rl`` says why these, or why none,
    ``style`` what the style learnt from; ``evaluations`` counts rewards.
    """

    start: str
    episodes: int
    patients: int
    measured: int = 0
    validity: float | None = None
    labelled: int = 0
    guided: int = 0
    told: float | None = None
    reading: AlignmentCounts = field(default_factory=AlignmentCounts)
    warm_loss: list[float] = field(default_factory=list)
    grpo: grpo.GrpoCurves = field(default_factory=grpo.GrpoCurves)
    distilled: best_of_k.BestOfKCurves | None = None
    rl_episodes: int = 0
    rl: str = "not asked for"
    style: str = style.NOT_ENOUGH
    evaluations: int = 0


@dataclass(slots=True)
class TrainingJob:
    """Inputs of one training, and the metrics that its steps fill in.

    ``choices`` is the file of measured episodes by night; None: the budget alone chooses. ``repetition`` changes the
    seed; ``labels`` are set by the first training and shared by its repetitions.
    """

    episodes: Sequence[Episode]
    params: Params
    night: str
    reward: rewards.Rewards
    encoder: CachedEncoder
    target: Path
    judged: bool = False
    rated: Sequence[tuple[Feedback, Episode]] = ()
    choices: Path | None = None
    repetition: int = 0
    labels: list[gains.EpisodeGains] | None = None
    metrics: TrainingMetrics = field(init=False)

    def __post_init__(self) -> None:
        patients = len({e.subject_id for e in self.episodes})
        self.metrics = TrainingMetrics("warm start", len(self.episodes), patients)

    @property
    def seed(self) -> int:
        return self.params.train.seed + int(self.night) + SEED_STEP * self.repetition

    @property
    def card(self) -> str:
        """The model card, with the metrics so far."""
        return render_card(self.night, self.params.train, self.metrics)


def run(settings: Settings, night: str) -> StageSummary:
    """Write ``models/challenger`` and ``metrics/train.json``; hold with too few episodes, ``noop`` without cause."""
    with stage_run(settings, night, "train") as summary:
        params = load_params(settings)
        episodes = [e for e in episode_file.read_episodes(settings) if e.split == splits.TRAIN]
        summary.rows_in = len(episodes)
        target = settings.models / "challenger"
        if len(episodes) < splits.FEWEST_TO_TRAIN_ON:
            with champion.replace_folder(target):
                pass  # an empty folder: there is no challenger tonight
            return _skip_training(settings, summary, "hold", f"{len(episodes)} episodes to train on")
        decision = retraining.decide_retraining(settings, night, params)
        if not decision.due:  # the last challenger stays for whoever still has to decide on it
            return _skip_training(settings, summary, "noop", decision.why)
        with (
            deterministic_torch(),
            rewards.open_rewards(settings, params.train.token_price) as reward,
            open_encoder(settings) as encoder,
            champion.replace_folder(target) as part,
        ):
            rated = list(match_episodes(settings, read_rated(settings, night), episodes))
            choices, judged = measured_set.choices_path(settings), settings.scorer == "judge"
            job = TrainingJob(episodes, params, night, reward, encoder, part, judged, rated, choices)
            metrics = train(job, load_starting_policy(settings, night, params))
            for number in range(1, count_seeds(params)):
                repeated = replace(job, repetition=number, target=part / SEEDS / str(number))
                train(repeated, load_starting_policy(settings, night, params))
        write_json(settings.metrics / "train.json", {"status": "done", **round_metrics(metrics)})
        summary.rows_out = 1
        summary.hashes = {"weights": hash_files([target / checkpoint.WEIGHTS])}
        summary.figures = {"start": metrics.start, "evaluations": metrics.evaluations, "measured": metrics.measured}
        summary.figures |= {"why": decision.why, "recipe": retraining.hash_recipe(settings, params)}
        summary.detail = f"{decision.why} · {metrics.grpo.stopped or f'RL {metrics.rl}'}"
    return summary


def _skip_training(settings: Settings, summary: StageSummary, status: str, why: str) -> StageSummary:
    summary.status, summary.detail = status, why
    write_json(settings.metrics / "train.json", {"status": status, "why": why})
    return summary


def count_seeds(params: Params) -> int:
    """Count the seeds to train with: one where the method has nothing random."""
    return 1 if params.train.method in methods.BY_GAIN else params.train.seeds


def load_starting_policy(settings: Settings, night: str, params: Params) -> Policy | None:
    """Load the champion's policy where its training can continue, else None."""
    incumbent = champion.find_incumbent(settings, night)
    if incumbent is None or incumbent.kind != "policy":
        return None
    if params.train.method not in (methods.GRPO, methods.BEST_OF_K):
        return None
    if tombstones.has_learnt(settings, incumbent.id):
        return None
    return load_continuable(champion.find_champion_folder(settings, incumbent), params)


def train(job: TrainingJob, champion_policy: Policy | None = None) -> TrainingMetrics:
    """Train a challenger and write it into ``job.target``."""
    if job.params.train.method in methods.BY_GAIN:
        return fit_by_gain(job)
    policy, prompts = start_policy(job, champion_policy)
    if not (job.repetition and learns_from_labels(job)):
        reinforce_policy(job, policy, prompts)
    job.metrics.style = style.learn_style(policy, prompts, job.episodes, job.rated, job.encoder, job.seed)
    return write_challenger(job, policy)


def start_policy(job: TrainingJob, champion_policy: Policy | None) -> tuple[Policy, list[grpo.PolicyPrompt]]:
    """Start from the champion, else from a warm start, which is written into ``WARM_START``.

    Both learn from tonight's labels; the champion, which has learnt from most of them, for fewer epochs. A champion
    whose questions are all reinforced goes on by RL alone.
    """
    featurizer = Featurizer(job.encoder)
    prompts = methods.build_prompts(job.episodes, featurizer, job.params.slots)
    guided = guidance.build_guided_examples(job.episodes, featurizer, job.params.slots)
    job.metrics.guided = len(guided)
    table = featurizer.build_table()
    policy = champion_policy or methods.build_policy(job.params, job.seed)
    policy.pointer.set_table(table)
    if champion_policy:
        job.metrics.start = "champion"
        if learns_from_labels(job):
            examples = methods.build_examples(label_gains(job), prompts, guided)
            job.metrics.warm_loss = methods.continue_warm_start(policy, examples, job.params.train, job.seed)
    else:
        examples = methods.build_examples(label_gains(job), prompts, guided)
        job.metrics.warm_loss = methods.fit_warm_start(policy, examples, job.params.train, job.seed)
        if not job.repetition:
            checkpoint.save_policy(job.target / WARM_START, policy, current_provenance(), job.card)
    return policy, prompts


def learns_from_labels(job: TrainingJob) -> bool:
    """Whether this training fits labels: always but for a champion whose questions are all reinforced."""
    continued = job.params.train.continued_epochs and len(choose_reinforced(job).chosen) < len(job.episodes)
    return job.metrics.start != "champion" or bool(continued)


def reinforce_policy(job: TrainingJob, policy: Policy, prompts: Sequence[grpo.PolicyPrompt]) -> None:
    """Train ``policy`` in place on the reward, by GRPO or best-of-K distillation."""
    params, reward = job.params.train, methods.build_reward_function(job.episodes, job.reward)
    if params.method == methods.GRPO:
        decision = choose_reinforced(job)
        job.metrics.rl, job.metrics.rl_episodes = decision.why, len(decision.chosen)
        prompts = [prompts[i] for i in decision.chosen]
        steps = params.continued_steps if job.metrics.start == "champion" else params.grpo_steps
        options = methods.grpo_options(params, steps, job.seed)
        job.metrics.grpo = grpo.train_grpo(policy, len(policy.pointer.embedding), prompts, reward, options)
    elif params.method == methods.BEST_OF_K:
        job.metrics.distilled = methods.distil_best_of_k(policy, prompts, reward, params, job.seed)


def choose_reinforced(job: TrainingJob) -> rl_need.RlDecision:
    """Choose the episodes of tonight's training that reinforcement learning is needed for."""
    return methods.choose_reinforced(job.episodes, job.encoder, job.params.train, judged=job.judged)


def write_challenger(job: TrainingJob, policy: Policy) -> TrainingMetrics:
    """Write the policy with its card; TrainingError where a weight is not finite."""
    job.metrics.evaluations = job.reward.asked
    if not all(bool(p.isfinite().all()) for p in policy.parameters()):
        raise TrainingError("training ended with weights that are not finite")
    checkpoint.save_policy(job.target, policy, current_provenance(), job.card)
    return job.metrics


def fit_by_gain(job: TrainingJob) -> TrainingMetrics:
    """Fit and write a refiner by predicted gains, without a policy."""
    refiner = methods.fit_gain_refiner(job.params.train.method, label_gains(job), job.params.caps, job.encoder)
    job.metrics.start, job.metrics.evaluations = "single gains", job.reward.asked
    checkpoint.save_gain_refiner(job.target, refiner, current_provenance(), job.card)
    return job.metrics


def label_gains(job: TrainingJob) -> list[gains.EpisodeGains]:
    """Measure gains within the budget, and label all training episodes by what their replies took up."""
    if job.labels is not None:
        return job.labels
    slots = job.params.slots
    chosen = select_measured(job)
    measured = [gains.measure_gains(job.reward, episode, slots) for episode in chosen]
    labels = label_propagation.propagate_labels(measured, job.episodes, job.encoder, slots)
    job.metrics.measured, job.metrics.validity = len(measured), gains.compute_gain_auc(measured)
    job.metrics.labelled, job.metrics.told = len(labels.gains), labels.correlation
    job.metrics.reading = labels.counts
    job.labels = labels.gains
    return job.labels


def select_measured(job: TrainingJob) -> list[Episode]:
    """Select the episodes to measure tonight: within the budget, and those that earlier nights measured."""
    budget, slots = job.params.train.gain_evaluations, job.params.slots
    if job.choices is None:
        return gains.select_affordable(job.episodes, budget, slots)
    conditions = measured_set.hash_conditions(job.reward.scorer.id, slots)
    return measured_set.choose_episodes(job.choices, job.night, job.episodes, budget, slots, conditions)


def round_metrics(metrics: TrainingMetrics) -> dict[str, Any]:
    """Convert to JSON, with numbers rounded to what a rerun repeats and NaN as None; the curves also step by step."""
    rounded = {name: _round(value) for name, value in asdict(metrics).items()}
    curves = {name: values for name, values in rounded["grpo"].items() if isinstance(values, list)}
    steps = zip(*curves.values(), strict=False)  # as `dvc plots` reads them
    return rounded | {
        "steps": [{"step": i, **dict(zip(curves, values, strict=True))} for i, values in enumerate(steps, 1)]
    }


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _round(v) for k, v in value.items()}
    return [_round(v) for v in value] if isinstance(value, list) else value
