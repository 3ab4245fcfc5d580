"""Render a trained refiner's model card; saving replaces ``{id}`` by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.params import TrainParams

if TYPE_CHECKING:
    from pipelines.training.train import TrainingMetrics


def render_card(night: str, params: TrainParams, metrics: TrainingMetrics) -> str:
    """Render Markdown: what the refiner is, how it was trained, its limits; no patient text."""
    validity = "not known" if metrics.validity is None else f"{metrics.validity:.3f}"
    reward = metrics.grpo.reward
    curve = f"{reward[0]:.3f} → {reward[-1]:.3f}" if reward else "no steps"
    reading = metrics.reading
    labels = f"{metrics.labelled} episodes; {reading.read} sentences read, {reading.unreadable} not readable, \
{reading.template} templates, {reading.contradicting} that contradict the record"
    if metrics.told is not None:
        labels += f"; correlation with the measured gains of other patients {metrics.told:.2f}"
    best = f"{len(metrics.distilled.best)} episodes, {params.samples} programs each" if metrics.distilled else "no"
    return f"""# {{id}}

A refiner of PMLM: it chooses which sentences of a patient's record go into the prompt for their question. It writes
nothing, cannot drop a pinned fact, and is no medical device.

| | |
| --- | --- |
| night | {night} |
| method | {params.method} |
| started from | {metrics.start} |
| episodes, patients | {metrics.episodes}, {metrics.patients} |
| gains measured on | {metrics.measured} episodes |
| AUC of measured gains against known facts | {validity} |
| labels read off the replies of | {labels} |
| examples made of guidance alone | {metrics.guided} |
| warm start | {params.warm_epochs} epochs, learning rate {params.warm_learning_rate} |
| GRPO | {len(metrics.grpo.reward)} steps of {params.batch}, {params.generations} generations, learning rate \
{params.learning_rate} |
| RL on | {metrics.rl_episodes} episodes: {metrics.rl} |
| style | {metrics.style} |
| best-of-K distillation | {best} |
| mean sampled reward, first → last step | {curve} |
| reward | mean log-probability of the clinician's patient-specific sentences − {params.token_price} per free token |
| caps | {params.pick_cap} free segments, {params.token_cap} tokens |

How it was measured on held-out patients: `metrics/evaluation.json` of the same night.
"""
