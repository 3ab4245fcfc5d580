"""Supervised warm start: fit the policy's probabilities to those that replies took segments up.

With p̂_i the label of segment i (``models.replies.alignment``), g_s the gain of a style alone, τ a temperature:

    loss = mean over episodes and free segments of −[p̂_i log p_i + (1 − p̂_i) log(1 − p_i)]
         − ω Σ_s P*(STYLE_s) log π_θ(STYLE_s),    P*(STYLE_s) ∝ exp(g_s / τ)
    p̂_i = σ(g_i / τ)  where only the gain g_i of a segment is known (nats, length price included)

p_i = σ(ℓ_0(i)) is a proper score's minimum where it equals the share of replies that take such a segment up, so the
probabilities that the stop is computed from (``policy``) are calibrated by what they are fitted to.

Departures from supervised fine-tuning on demonstrations:
1. Targets are probabilities, not one best sequence (which trained worse).
2. No sequence is sampled: the order of picks and the stop follow from the probabilities.
Without a warm start RL spends its budget on a search over twenty segments.

Run: ``pmlm train`` where no champion can be continued; alone with ``train.method: warm_start``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.refiner.policy import Policy

TEMPERATURE = 0.02  # nats, about the error of measured gains
STYLE_WEIGHT = 0.1  # ω
BATCH = 32


@dataclass(frozen=True, slots=True)
class WarmStartExample:
    """One labelled episode: rows of question and segments, and each segment's label.

    ``gains`` [segments] and ``styles`` [len(STYLES)] in nats. A pinned segment's gain is NaN.
    ``uptake`` [segments] are probabilities, NaN where there is no label, or None to derive them from ``gains``.
    """

    question: int
    rows: tuple[int, ...]
    gains: np.ndarray
    styles: np.ndarray
    uptake: np.ndarray | None = None

    @property
    def labels(self) -> np.ndarray:
        """p̂ [segments], NaN where pinned."""
        if self.uptake is not None:
            return self.uptake
        return 1 / (1 + np.exp(-np.clip(self.gains / TEMPERATURE, -50, 50)))


def fit_warm_start(
    policy: Policy, examples: Sequence[WarmStartExample], *, epochs: int, learning_rate: float, seed: int
) -> list[float]:
    """Train ``policy`` in place; return each epoch's mean loss (nats per segment), none without examples."""
    if not examples:
        return []
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    trained = [p for p in policy.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=0.01)
    steps = max(1, epochs * -(-len(examples) // BATCH))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps + 1)
    policy.train()
    losses: list[float] = []
    for _ in range(epochs):
        epoch: list[float] = []
        order = random.permutation(len(examples))
        for start in range(0, len(order), BATCH):
            loss = _compute_loss(policy, [examples[i] for i in order[start : start + BATCH]])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            epoch.append(float(loss.detach()))
        losses.append(float(np.mean(epoch)))
    policy.eval()
    return losses


def _compute_loss(policy: Policy, batch: Sequence[WarmStartExample]) -> Tensor:
    """Compute the loss of a batch."""
    rows, present, labels, styles = _build_batch(batch, policy.config.slots)
    state = policy.pointer.encode_state(rows, present)
    known = ~labels.isnan() & state.free
    each = functional.binary_cross_entropy_with_logits(
        policy.pointer.score_segments(state), labels.nan_to_num(), reduction="none"
    )
    segments = each[known].sum() / known.sum().clamp(min=1)
    style = -(styles * policy.pointer.score_styles(state).log_softmax(-1)).sum(-1).mean()
    return segments + STYLE_WEIGHT * style


def _build_batch(batch: Sequence[WarmStartExample], slots: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Build rows and presence [batch, 1 + slots], labels [batch, slots] and style targets [batch, styles]."""
    rows = torch.zeros(len(batch), 1 + slots, dtype=torch.long)
    present = torch.zeros(len(batch), 1 + slots, dtype=torch.bool)
    labels = torch.full((len(batch), slots), float("nan"))
    styles = torch.tensor(np.array([one.styles for one in batch]), dtype=torch.float32)
    for b, example in enumerate(batch):
        mine = (example.question, *example.rows[:slots])
        rows[b, : len(mine)] = torch.tensor(mine)
        present[b, : len(mine)] = True
        labels[b, : len(mine) - 1] = torch.from_numpy(example.labels[:slots].astype(np.float32))
    return rows, present, labels, ((styles - styles.max(-1, keepdim=True).values) / TEMPERATURE).softmax(-1)
