"""The policy π_θ: a pointer network over segments, shaped as a language model for TRL.

With e the frozen sentence embeddings, P and W learnt, x_i a segment's numeric features, C_t the picks before step t:

    q = P_q e_q,   h_i = gelu(W_h [P_s e_i ; P_s e_i ⊙ q ; cos(e_i, e_q) ; x_i])
    c_t = mean of h_j over j in C_t
    ℓ_t(i) = v · gelu(A h_i + B c_t + D q + d · max_{j in C_t} cos(e_i, e_j)) + ρ · relevance(q, i),   p_i = σ(ℓ_0(i))
    θ_t = Σ_{i in C_t} p_i / (|C_t| + Σ_i p_i)
    score_t(PICK_i) = κ ℓ_t(i)
    score_t(STOP)   = κ logit θ_t + w · gelu([c_t ; q ; picks used ; tokens left ; best ℓ_t])
    score_0(STYLE)  = U [q ; mean of h over preference segments]

relevance(q, i) says whether published guidance names the finding of i for the concern of q, as present or as absent
(``models.relevance``); ρ starts from a prior, so that a small clinic's prompts keep what any clinician would look at.

p_i is the probability that the reply takes up segment i: the warm start fits it, with B = d = w = 0. Picks in falling p
have an expected F1 of about 2 θ_t, and another pick raises it exactly where its p is above θ_t. So the likeliest action
at every step leads to the k picks that maximise 2 Σ_{i ≤ k} p_i / (k + Σ_i p_i): the stop is calibrated with the picks,
and RL may move both. κ sharpens what RL samples and changes no greedy choice. Of a signal's latest value and its change
one may be picked.

Departures from a pointer network (Vinyals et al. 2015) and from a language model:
1. No recurrence: the state is c_t, a mean over picks without positions, so no slot number can be learnt.
2. TRL 1.16 computes the loss from ``base_model(...).last_hidden_state @ lm_head.weight`` without ``forward``. So the
   last hidden state is the masked logits, and ``lm_head`` a frozen identity.
3. Masks are −1e4, not −inf, which would make the entropy NaN.
The paper's abstract names no architecture.

Run: ``pmlm train`` trains it; ``pmlm ask --subject ID "QUESTION"`` decodes with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.refiner.actions import FIRST_PICK, FIRST_STYLE
from models.refiner.featurizer import NUMERIC_FEATURES, PREFERENCE, FeatureTable, build_blank_concerns
from models.refiner.interface import STYLES
from models.refiner.policy_config import LEAST, PolicyConfig
from models.relevance.concerns import PRIOR, STATES

MASKED = -1e4


@dataclass(frozen=True, slots=True)
class EncodedState:
    """Encoded question and slots, equal at every step of a program.

    ``question`` and ``hidden`` are q and h_i, ``question_term`` and ``segment_term`` D q and A h_i, ``similarity`` the
    cosines between slots, ``tokens`` their lengths, ``free`` which may be picked, ``preference`` the mean preference.
    ``rivals`` [slots, slots] is 1 for two slots on one signal, and for a slot with itself; ``relevance`` is ρ · that.
    """

    question: Tensor
    hidden: Tensor
    question_term: Tensor
    segment_term: Tensor
    similarity: Tensor
    tokens: Tensor
    free: Tensor
    preference: Tensor
    rivals: Tensor
    relevance: Tensor


class HiddenState(NamedTuple):
    """What TRL reads of a base model: here masked logits [batch, length, actions]."""

    last_hidden_state: Tensor


class Logits(NamedTuple):
    """What generation reads of a language model: logits [batch, length, actions]."""

    logits: Tensor


class Pointer(nn.Module):
    """The base model: token ids in, masked action logits [batch, length, actions] out.

    The names of its layers are the keys of ``policy.safetensors``: frozen.
    """

    embedding: Tensor
    numbers: Tensor
    tokens: Tensor
    pinned: Tensor
    signal: Tensor
    matches: Tensor
    marks: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        d = config.hidden_size
        self.read_question = nn.Linear(config.embedding_size, d)
        self.read_segment = nn.Linear(config.embedding_size, d)
        self.join = nn.Linear(2 * d + 1 + NUMERIC_FEATURES, d)
        self.of_segment, self.of_picked, self.of_question = (nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d))
        self.of_overlap = nn.Linear(1, d, bias=False)
        self.pick = nn.Linear(d, 1)
        self.weigh_stop, self.stop = nn.Linear(2 * d + 3, d), nn.Linear(d, 1)
        self.style = nn.Linear(2 * d, len(STYLES))
        self.dropout = nn.Dropout(0.1)
        self.scale = config.embedding_size**0.5  # embeddings have unit length; their entries should be of unit size
        for layer in (self.of_picked, self.of_overlap, self.stop):  # B, d and w: what only RL learns starts at nothing
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        if config.reads_relevance:
            self.of_relevance = nn.Linear(len(STATES), 1, bias=False)  # ρ
            self.of_relevance.weight.data.copy_(torch.tensor([PRIOR]))
        self.set_table(_empty_table(config.embedding_size))

    def set_table(self, table: FeatureTable) -> None:
        """Replace the frozen table; the checkpoint excludes it."""
        self.register_buffer("embedding", torch.from_numpy(table.embedding), persistent=False)
        self.register_buffer("numbers", torch.from_numpy(table.numbers), persistent=False)
        self.register_buffer("tokens", torch.from_numpy(table.tokens), persistent=False)
        self.register_buffer("pinned", torch.from_numpy(table.pinned), persistent=False)
        self.register_buffer("signal", torch.from_numpy(table.signal), persistent=False)
        self.register_buffer("matches", torch.from_numpy(table.matches), persistent=False)
        self.register_buffer("marks", torch.from_numpy(table.marks), persistent=False)

    def forward(self, input_ids: Tensor, **unused: object) -> HiddenState:
        """Compute masked logits of the next action per position, zero inside the prompt."""
        actions = self.config.vocab_size
        rows, present = self.find_slots(input_ids)
        first = int((input_ids >= actions).int().cumsum(1).argmax(1).min())
        scores = self.score_actions(input_ids[:, first:], self.encode_state(rows, present))
        logits = scores.new_zeros(*input_ids.shape, actions)
        logits[:, first:] = scores
        return HiddenState(logits)

    def find_slots(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Extract table rows of question and slots, and which are present, [batch, 1 + slots]."""
        is_row = input_ids >= self.config.vocab_size
        place = torch.where(is_row, is_row.cumsum(1) - 1, self.config.slots + 1)  # the last place gathers non-rows
        shape = (len(input_ids), self.config.slots + 2)
        rows = input_ids.new_zeros(shape).scatter(1, place, torch.where(is_row, input_ids - self.config.vocab_size, 0))
        present = is_row.new_zeros(shape).scatter(1, place, is_row)
        return rows[:, :-1], present[:, :-1]

    def encode_state(self, rows: Tensor, present: Tensor) -> EncodedState:
        """Encode question and slots from their rows in the table."""
        there = present[:, 1:]
        embedding = self.embedding[rows]
        question = self.read_question(embedding[:, 0] * self.scale)
        hidden = self._encode_segments(embedding, question, self.numbers[rows[:, 1:]])
        hidden = hidden * there[..., None]
        segments = embedding[:, 1:]
        signal = self.signal[rows[:, 1:]]
        same = (signal[:, None] == signal[:, :, None]) & (signal[:, None] > 0) & self.config.is_calibrated
        itself = torch.eye(signal.shape[1], dtype=torch.bool, device=signal.device)
        return EncodedState(
            question=question,
            hidden=hidden,
            question_term=self.of_question(question),
            segment_term=self.of_segment(hidden),
            similarity=segments @ segments.transpose(1, 2),
            tokens=self.tokens[rows[:, 1:]],
            free=there & ~self.pinned[rows[:, 1:]],
            preference=self._mean_preference(hidden, rows, there),
            rivals=(same | itself).to(hidden.dtype),
            relevance=self._weigh_relevance(rows),
        )

    def score_segments(self, state: EncodedState) -> Tensor:
        """Compute ℓ_0 of every slot, [batch, slots]: the log-odds that the reply takes it up."""
        none = torch.zeros_like(state.question)
        inner = state.segment_term + (self.of_picked(none) + state.question_term)[:, None]
        return self.pick(nn.functional.gelu(inner))[..., 0] + state.relevance

    def score_styles(self, state: EncodedState) -> Tensor:
        """Score the style directives, [batch, styles]."""
        return self.style(torch.cat([state.question, state.preference], -1))

    def score_actions(self, ids: Tensor, state: EncodedState) -> Tensor:
        """Score all actions [batch, steps, actions] after each position of ``ids`` [batch, steps]."""
        question, hidden = state.question, state.hidden
        chosen = _mark_picks(ids, self.config.slots)
        count = chosen.sum(-1, keepdim=True)
        picked = chosen @ hidden / count.clamp(min=1)
        overlap = _overlap_with_picks(chosen, state.similarity)
        picks = (
            self.pick(
                nn.functional.gelu(
                    state.segment_term[:, None]
                    + self.of_picked(picked)[:, :, None]
                    + state.question_term[:, None, None]
                    + self.of_overlap(overlap[..., None])
                )
            )[..., 0]
            + state.relevance[:, None]
        )

        has_style = ((ids >= FIRST_STYLE) & (ids < FIRST_PICK)).cumsum(1)[..., None] > 0
        used = chosen @ state.tokens.to(chosen.dtype)[..., None]
        left = self.config.token_cap - used
        open_slots = state.free[:, None] & (chosen @ state.rivals == 0) & (count < self.config.pick_cap)
        open_slots = open_slots & (state.tokens[:, None] <= left) & has_style
        best = picks.masked_fill(~open_slots, MASKED).max(-1, keepdim=True).values.clamp(min=-10)
        picks = (self.config.sharpness * picks).masked_fill(~open_slots, MASKED)

        asked = question[:, None].expand_as(picked)
        budget = torch.cat([count / self.config.pick_cap, left / self.config.token_cap, best], -1)
        stop = self.stop(nn.functional.gelu(self.weigh_stop(torch.cat([picked, asked, budget], -1))))
        if self.config.is_calibrated:
            stop = stop + self.config.sharpness * self._half_expected_f1(chosen, state).logit(LEAST)
        stop = stop.masked_fill(~has_style, MASKED)
        styles = self.score_styles(state)[:, None].expand(-1, ids.shape[1], -1).masked_fill(has_style, MASKED)

        never = picks.new_full((*ids.shape, 1), MASKED)
        return torch.cat([never, stop, never, styles, picks], -1)  # the order of ids in ``actions``

    def _half_expected_f1(self, chosen: Tensor, state: EncodedState) -> Tensor:
        """Compute θ [batch, steps, 1]; a constant for the gradient, so that a reward moves the picks themselves."""
        chances = self.score_segments(state).sigmoid().masked_fill(~state.free, 0.0).detach()
        taken = chosen @ chances[..., None]
        return taken / (chosen.sum(-1, keepdim=True) + chances.sum(-1)[:, None, None]).clamp(min=LEAST)

    def _encode_segments(self, embedding: Tensor, question: Tensor, numbers: Tensor) -> Tensor:
        """Compute h_i of every slot, [batch, slots, hidden]."""
        segments = self.read_segment(embedding[:, 1:] * self.scale)
        cosine = (embedding[:, 1:] @ embedding[:, 0, :, None])[..., :1]
        joined = torch.cat([segments, segments * question[:, None], cosine, numbers], -1)
        return self.dropout(nn.functional.gelu(self.join(joined)))

    def _weigh_relevance(self, rows: Tensor) -> Tensor:
        """Compute ρ · relevance of every slot, [batch, slots]."""
        if not self.config.reads_relevance:
            return self.numbers.new_zeros(len(rows), rows.shape[1] - 1)
        found: Tensor = (self.matches[rows[:, 0]][:, None, :, None] * self.marks[rows[:, 1:]]).amax(2)
        weighed: Tensor = self.of_relevance(found)
        return weighed[..., 0]

    def _mean_preference(self, hidden: Tensor, rows: Tensor, there: Tensor) -> Tensor:
        """Average h over preference segments; zero where there is none."""
        mask = (self.numbers[rows[:, 1:], PREFERENCE] * there)[..., None]
        return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)


class Policy(nn.Module):
    """``Pointer`` with a frozen identity as head; ``grpo`` makes TRL's language model of it."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        self.pointer = Pointer(config)
        self.lm_head = nn.Linear(config.vocab_size, config.vocab_size, bias=False)
        with torch.no_grad():
            self.lm_head.weight.copy_(torch.eye(config.vocab_size))
        self.lm_head.weight.requires_grad_(False)

    def forward(self, input_ids: Tensor, logits_to_keep: int = 0) -> Logits:
        """Compute logits of the next action [batch, length or ``logits_to_keep``, actions]."""
        hidden = self.pointer(input_ids=input_ids).last_hidden_state
        return Logits(self.lm_head(hidden[:, -logits_to_keep:]))


def _mark_picks(ids: Tensor, slots: int) -> Tensor:
    """Mark slots picked at or before each position with 1, [batch, steps, slots]."""
    picked = nn.functional.one_hot((ids - FIRST_PICK).clamp(0, slots - 1), slots)
    is_pick = (ids >= FIRST_PICK) & (ids < FIRST_PICK + slots)
    return (picked * is_pick[..., None]).cumsum(1).clamp(max=1).float()


def _overlap_with_picks(chosen: Tensor, similarity: Tensor) -> Tensor:
    """Compute each slot's greatest cosine to the picks, [batch, steps, slots]; 0 without picks."""
    return (chosen[:, :, None] * similarity[:, None]).max(-1).values.clamp(min=0)


def _empty_table(size: int) -> FeatureTable:
    return FeatureTable(
        np.zeros((1, size), np.float32),
        np.zeros((1, NUMERIC_FEATURES), np.float32),
        np.zeros(1, np.int64),
        np.zeros(1, bool),
        np.zeros(1, np.int64),
        *(blank[None] for blank in build_blank_concerns()),
    )
