"""Predict the codes of a patient's next day with one small causal transformer.

    x_d = Σ_{c ∈ day d} E_c + A[log-spaced waves of age_d] + G[waves of log gap_d]     one step per day with records
    h_d = CausalTransformer(x_1 … x_d)                                                 embedding as of day d
    logit p(c ∈ day d+1 | x_≤d) = w_c · h_d + b_c + α_c·log-odds of the own past rate of c + Σ_{c'} D_cc' [c' ∈ day d]

Trained with binary cross-entropy over the vocabulary, so that each p(c) is a probability that can be calibrated; the
ten likeliest codes are a forecast.

1. The last two terms let a short record lean on what it already repeats, and on what usually follows its last day.
2. The paper "interprets a patient's record" without a model.
3. Steps are days, not events as in the event-stream models ETHOS and Delphi-2M: within a day a clinic's records have
   no order worth learning.

Run: ``pmlm stage trajectory``; ``pmlm evaluate`` (row 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel, PrinterCallback, Trainer, TrainingArguments
from transformers.modeling_outputs import ModelOutput

WAVES = 8
MIN_PATIENTS = 3  # a code that fewer training patients have is not in the vocabulary
MAX_DAYS = 512  # days; of a longer record the newest are read


@dataclass(frozen=True, slots=True)
class PatientDays:
    """One patient's days with records: ``days`` [d] since birth, ascending, and their ``codes`` [d]."""

    subject_id: int
    days: tuple[float, ...]
    codes: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The codes of a trajectory model, each with its share of the training records' days."""

    codes: tuple[str, ...]
    rates: tuple[float, ...]

    def multi_hot(self, record: PatientDays) -> np.ndarray:
        """[days, codes] float32; codes outside the vocabulary are passed over."""
        place = {c: i for i, c in enumerate(self.codes)}
        out = np.zeros((len(record.days), len(self.codes)), dtype=np.float32)
        for d, codes in enumerate(record.codes):
            out[d, [place[c] for c in codes if c in place]] = 1
        return out


def build_vocabulary(records: Iterable[PatientDays]) -> Vocabulary:
    """Codes that at least ``MIN_PATIENTS`` records hold, in alphabetical order, with their share of days."""
    every = list(records)
    having: dict[str, int] = {}
    times: dict[str, int] = {}
    for record in every:
        for code in frozenset().union(*record.codes):
            having[code] = having.get(code, 0) + 1
        for day in record.codes:
            for code in day:
                times[code] = times.get(code, 0) + 1
    days = max(1, sum(len(r.days) for r in every))
    codes = tuple(sorted(c for c, n in having.items() if n >= MIN_PATIENTS))
    return Vocabulary(codes, tuple(times[c] / days for c in codes))


class TrajectoryConfig(PretrainedConfig):
    """Sizes of a trajectory model; ``rates`` are the vocabulary's, the model's starting point."""

    model_type = "pmlm_trajectory"

    def __init__(
        self, codes: int = 1, hidden_size: int = 64, layers: int = 2, heads: int = 4, dropout: float = 0.1, **rest: Any
    ) -> None:
        self.codes, self.hidden_size, self.layers, self.heads, self.dropout = codes, hidden_size, layers, heads, dropout
        super().__init__(**rest)


@dataclass
class TrajectoryOutput(ModelOutput):
    """``logits`` [batch, days, codes] of the next day, ``hidden`` [batch, days, hidden], ``loss``."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden: Tensor | None = None


class TrajectoryModel(PreTrainedModel):
    """The causal transformer of this module's equations.

    Inputs: ``codes`` [batch, days, codes] 0/1, ``days`` [batch, days] since birth, ``there`` [batch, days] whether a
    step exists (records are padded on the right).
    """

    config_class = TrajectoryConfig

    def __init__(self, config: TrajectoryConfig) -> None:
        super().__init__(config)
        d = config.hidden_size
        self.of_codes = nn.Linear(config.codes, d, bias=False)
        self.of_age, self.of_gap = nn.Linear(2 * WAVES, d), nn.Linear(2 * WAVES, d)
        layer = nn.TransformerEncoderLayer(
            d, config.heads, 4 * d, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, config.layers, nn.LayerNorm(d), enable_nested_tensor=False)
        self.of_next = nn.Linear(d, config.codes)
        self.own_rate = nn.Parameter(torch.full((config.codes,), 0.25))
        self.follows = nn.Linear(config.codes, config.codes, bias=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Keep torch's own initial weights."""

    def start_from(self, rates: Sequence[float]) -> None:
        """Begin at the popularity forecast: every code at its share of days."""
        share = torch.tensor(rates, dtype=torch.float32).clamp(1e-5, 1 - 1e-5)
        with torch.no_grad():
            self.of_next.weight.mul_(0.1)
            self.follows.weight.zero_()
            self.of_next.bias.copy_(torch.logit(share))
        self.register_buffer("rates", share)

    def forward(self, codes: Tensor, days: Tensor, there: Tensor, **unused: Any) -> TrajectoryOutput:
        gaps = torch.diff(days, dim=1, prepend=days[:, :1])
        step = (
            self.of_codes(codes)
            + self.of_age(_encode_waves(days / 365.25))
            + self.of_gap(_encode_waves(torch.log1p(gaps)))
        )
        length = codes.shape[1]
        ahead = torch.triu(torch.ones(length, length, dtype=torch.bool), diagonal=1)
        hidden = self.blocks(step, mask=ahead, src_key_padding_mask=~there.bool())
        logits = self.of_next(hidden) + self.own_rate * self._own(codes) + self.follows(codes)
        loss = None
        if self.training or length > 1:
            counts = there[:, 1:].bool()
            each = nn.functional.binary_cross_entropy_with_logits(logits[:, :-1], codes[:, 1:], reduction="none")
            loss = each.sum(-1)[counts].mean() if counts.any() else logits.sum() * 0
        return TrajectoryOutput(loss=loss, logits=logits, hidden=hidden)

    def _own(self, codes: Tensor) -> Tensor:
        """Log-odds of each code's shrunken share of the patient's days, less the clinic's.

        Shares are shrunk by five days toward the clinic's.
        """
        seen = codes.cumsum(1)
        days = torch.arange(1, codes.shape[1] + 1, dtype=codes.dtype)[None, :, None]
        rates: Tensor = self.rates  # type: ignore[assignment]
        own = ((seen + 5 * rates) / (days + 5)).clamp(1e-5, 1 - 1e-5)
        return torch.logit(own) - torch.logit(rates)


def _encode_waves(value: Tensor) -> Tensor:
    """Sines and cosines of ``value`` at ``WAVES`` periods, [.., 2 · WAVES]."""
    periods = 2.0 ** torch.arange(WAVES, dtype=value.dtype)
    angle = 2 * math.pi * value[..., None] / periods
    return torch.cat([angle.sin(), angle.cos()], -1)


def collate_records(records: Sequence[PatientDays], known: Vocabulary) -> dict[str, Tensor]:
    """Records as one padded batch, the newest ``MAX_DAYS`` days of each."""
    length = max(1, min(MAX_DAYS, max((len(r.days) for r in records), default=1)))
    codes = torch.zeros(len(records), length, len(known.codes))
    days = torch.zeros(len(records), length)
    there = torch.zeros(len(records), length)
    for i, record in enumerate(records):
        hot = known.multi_hot(record)[-length:]
        codes[i, : len(hot)] = torch.from_numpy(hot)
        days[i, : len(hot)] = torch.tensor(record.days[-length:])
        days[i, len(hot) :] = record.days[-1] if record.days else 0.0
        there[i, : len(hot)] = 1
    return {"codes": codes, "days": days, "there": there}


def train_trajectory(
    records: Sequence[PatientDays], known: Vocabulary, *, epochs: int = 40, seed: int = 0
) -> TrajectoryModel:
    """Train a model on the records of at least two days, deterministically."""
    torch.manual_seed(seed)
    model = TrajectoryModel(TrajectoryConfig(codes=len(known.codes)))
    model.start_from(known.rates)
    usable = [r for r in records if len(r.days) > 1]
    if not usable or not known.codes:
        return model.eval()
    arguments = TrainingArguments(
        output_dir="unused", num_train_epochs=epochs, per_device_train_batch_size=4, learning_rate=2e-3,
        lr_scheduler_type="cosine", weight_decay=0.01, seed=seed, data_seed=seed, use_cpu=True, report_to=[],
        save_strategy="no", logging_strategy="no", disable_tqdm=True, remove_unused_columns=False,
        dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=usable,
        data_collator=lambda batch: collate_records(batch, known),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return model.eval()


@torch.no_grad()
def predict_next_days(model: TrajectoryModel, known: Vocabulary, record: PatientDays) -> tuple[np.ndarray, np.ndarray]:
    """Predict each next day's codes [days, codes], with embeddings [days, hidden] as of each day."""
    if not record.days:
        return np.zeros((0, len(known.codes)), np.float32), np.zeros((0, model.config.hidden_size), np.float32)
    out = model(**collate_records([record], known))
    return out.logits[0].sigmoid().numpy(), out.hidden[0].numpy()
