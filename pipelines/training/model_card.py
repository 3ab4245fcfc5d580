"""The model card of a trained refiner, written by the run that trained it. ``{id}`` becomes the refiner's id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.training.train import TrainingMetrics


def render_card(night: str, params: dict[str, dict[str, Any]], training: TrainingMetrics) -> str:
    """Markdown: what it is, what it was trained on and how, what it is not. Counts only; no patient, no text."""
    knobs = params["train"]
    validity = "not known" if training.validity is None else f"{training.validity:.3f}"
    reward = training.grpo.reward
    curve = f"{reward[0]:.3f} → {reward[-1]:.3f}" if reward else "no steps"
    read = (
        "none: replies told nothing of single gains"
        if training.told is None
        else (
            f"{training.labelled} episodes; correlation with the measured gains of other patients {training.told:.2f}"
        )
    )
    drawn = training.distilled
    best = f"{len(drawn.best)} episodes, {knobs['samples']} programs each" if drawn else "no"
    return f"""# {{id}}

A refiner of PMLM: it chooses which sentences of a patient's record go into the prompt for her question. It writes
nothing, cannot drop a pinned fact, and is no medical device.

| | |
| --- | --- |
| night | {night} |
| method | {knobs["method"]} |
| started from | {training.start} |
| episodes, patients | {training.episodes}, {training.patients} |
| single gains measured on | {training.measured} episodes |
| AUC of single gains against known facts | {validity} |
| gains read off the replies of | {read} |
| warm start | {knobs["warm_epochs"]} epochs, learning rate {knobs["warm_learning_rate"]} |
| GRPO | {len(training.grpo.reward)} steps of {knobs["batch"]}, {knobs["generations"]} generations, learning rate \
{knobs["learning_rate"]} |
| best-of-K distillation | {best} |
| mean sampled reward, first → last step | {curve} |
| reward | mean log-probability of the clinician's patient-specific sentences − {knobs["token_price"]} a free token |
| caps | {knobs["pick_cap"]} free segments, {knobs["token_cap"]} tokens |

How it was measured on patients it has not seen: `metrics/evaluation.json` of the same night.
"""
