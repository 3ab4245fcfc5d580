"""Supervised warm start: cross-entropy to soft targets from each segment's gain, along sampled sequences.

With g_i the gain of segment i (``models.reward.terms``, length price included), τ a temperature, C the picks so far:

    P*(STOP | C) = σ(−max_{i not in C} g_i / τ)
    P*(PICK_i | C) ∝ exp(g_i / τ)   over segments neither picked nor too long, sharing 1 − P*(STOP | C)
    P*(STYLE_s) ∝ exp(g_s / τ)      with g_s the gain of a style directive alone
    loss = −mean over actions of Σ_a P*(a | C) log π_θ(a | C)

Departures from supervised fine-tuning on demonstrations:
1. Targets are distributions from gains, not one best sequence (which trained worse).
2. Sequences are sampled from P*, again in each epoch, so training visits the states that decoding visits.
Without a warm start RL spends its budget on a search over twenty segments.

Run: ``pmlm train`` where no champion can be continued; alone with ``train.method: warm_start``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.refiner.actions import FIRST_PICK, FIRST_STYLE, STOP
from models.refiner.interface import STYLES, Caps
from models.refiner.policy import Policy

TEMPERATURE = 0.02  # nats, about the error of predicted gains; from flatter targets (0.05) RL learns to stop early
BATCH = 8


@dataclass(frozen=True, slots=True)
class WarmStartExample:
    """One labelled episode: rows of question and segments, and each segment's gain.

    ``gains`` [segments] and ``styles`` [len(STYLES)] in nats; ``tokens`` [segments]. A pinned segment's gain is NaN.
    """

    question: int
    rows: tuple[int, ...]
    gains: np.ndarray
    styles: np.ndarray
    tokens: np.ndarray


def fit_warm_start(
    policy: Policy, examples: Sequence[WarmStartExample], *, epochs: int, learning_rate: float, seed: int
) -> list[float]:
    """Train ``policy`` in place; return each epoch's mean loss (nats per action), none without examples."""
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
            batch = [examples[i] for i in order[start : start + BATCH]]
            loss = _cross_entropy(policy, *_build_batch(batch, policy, random))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            epoch.append(float(loss.detach()))
        losses.append(float(np.mean(epoch)))
    policy.eval()
    return losses


def build_targets(
    example: WarmStartExample, picked: Sequence[int], caps: Caps, temperature: float = TEMPERATURE
) -> np.ndarray:
    """Compute P* over [STOP, segment 0, segment 1, …] after ``picked``."""
    left = caps.tokens - int(example.tokens[list(picked)].sum())
    is_open = ~np.isnan(example.gains) & (example.tokens <= left)
    is_open[list(picked)] = False
    if len(picked) >= caps.picks or not is_open.any():
        return np.eye(1, len(is_open) + 1)[0]
    gains = np.where(is_open, np.nan_to_num(example.gains), -np.inf) / temperature
    best = gains.max()
    stop = 1 / (1 + np.exp(np.clip(best, -50, 50)))
    picks = np.exp(gains - best)
    return np.concatenate([[stop], (1 - stop) * picks / picks.sum()])


def _build_batch(
    batch: Sequence[WarmStartExample], policy: Policy, random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Build ids, soft targets and loss mask of sequences sampled from P*, slots shuffled."""
    config = policy.config
    slots, length = config.slots, 1 + config.slots
    ids = torch.zeros(len(batch), length + config.pick_cap + 1, dtype=torch.long)
    soft = torch.zeros(len(batch), config.pick_cap + 2, config.vocab_size)
    counts = torch.zeros(len(batch), config.pick_cap + 2, dtype=torch.bool)
    for b, example in enumerate(batch):
        order = random.permutation(len(example.rows))[:slots]
        slot = {int(segment): i for i, segment in enumerate(order)}
        rows = [example.question, *(example.rows[i] for i in order)]
        ids[b, length - len(rows) : length] = torch.tensor(rows) + config.vocab_size
        for step, (target, action) in enumerate(_sample_sequence(example, slot, config.caps, random)):
            soft[b, step] = torch.from_numpy(target @ _action_matrix(slot, len(example.rows), config.vocab_size))
            counts[b, step] = True
            if step <= config.pick_cap:
                ids[b, length + step] = action
    return ids, soft, counts


def _sample_sequence(
    example: WarmStartExample, slot: dict[int, int], caps: Caps, random: np.random.Generator
) -> list[tuple[np.ndarray, int]]:
    """Sample one sequence from P*: per step, target over [styles, STOP, segments] and action id."""
    style = np.exp((example.styles - example.styles.max()) / TEMPERATURE)
    style /= style.sum()
    steps = [(np.concatenate([style, np.zeros(1 + len(example.rows))]), FIRST_STYLE + int(random.choice(3, p=style)))]
    seen = WarmStartExample(
        example.question, example.rows, _mask_unseen(example.gains, slot), example.styles, example.tokens
    )
    picked: list[int] = []
    while True:
        target = build_targets(seen, picked, caps)
        choice = int(random.choice(len(target), p=target))
        padded = np.concatenate([np.zeros(len(STYLES)), target])
        steps.append((padded, STOP if choice == 0 else FIRST_PICK + slot[choice - 1]))
        if choice == 0:
            return steps
        picked.append(choice - 1)


def _mask_unseen(gains: np.ndarray, slot: dict[int, int]) -> np.ndarray:
    """Set gains of segments without a slot to NaN."""
    return np.where([i in slot for i in range(len(gains))], gains, np.nan)


def _action_matrix(slot: dict[int, int], segments: int, actions: int) -> np.ndarray:
    """Build the 0/1 matrix [styles + STOP + segments, actions] that maps a target to action ids."""
    places = np.zeros((len(STYLES) + 1 + segments, actions), dtype=np.float32)
    places[np.arange(len(STYLES)), FIRST_STYLE + np.arange(len(STYLES))] = 1
    places[len(STYLES), STOP] = 1
    for segment, i in slot.items():
        places[len(STYLES) + 1 + segment, FIRST_PICK + i] = 1
    return places


def _cross_entropy(policy: Policy, ids: Tensor, soft: Tensor, counts: Tensor) -> Tensor:
    """Compute cross-entropy to the soft targets, mean over the masked-in actions."""
    logits = policy(input_ids=ids, logits_to_keep=soft.shape[1]).logits
    return -(soft * logits.log_softmax(-1)).sum(-1)[counts].mean()
