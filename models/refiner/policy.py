"""π_θ(a | q, S): a pointer policy that reads each segment, in the shape of a causal language model.

With e the frozen sentence embeddings, P and W learnt, x_i a segment's numbers and C_t what is picked by step t:

    q = P_q e_q,   h_i = gelu(W_h [P_s e_i ; P_s e_i ⊙ q ; cos(e_i, e_q) ; x_i])
    c_t = mean of h_j over j in C_t
    score_t(PICK_i) = v · gelu(A h_i + B c_t + D q + d · max_{j in C_t} cos(e_i, e_j))
    score_t(STOP)   = w · gelu([c_t ; q ; picks used ; tokens left ; best score_t(PICK)])
    score_0(STYLE)  = U [q ; mean of h over preference segments]

The sum over slots knows no position, so a policy cannot learn a slot, only what it reads. Our own: the paper's
abstract names no architecture.

The shape is owed to the trainer. TRL 1.16 does not call ``forward`` for the loss: it computes
``base_model(...).last_hidden_state @ lm_head.weight``. So the *last hidden state* here is the masked logits, and
``lm_head`` a frozen identity. Masks are −1e4, not −inf, which would make the entropy NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from models.refiner.actions import FIRST_PICK, FIRST_STYLE, PAD, STOP, Actions
from models.refiner.featurizer import NUMERIC_FEATURES, PREFERENCE, FeatureTable
from models.refiner.interface import STYLES, Caps

MASKED = -1e4


class PolicyConfig(PretrainedConfig):
    """Sizes and caps of a policy; ``slots`` bounds the segments it can see in one prompt."""

    model_type = "pmlm_refiner"

    def __init__(
        self,
        slots: int = 32,
        pick_cap: int = 4,
        token_cap: int = 60,
        embedding_size: int = 384,
        hidden_size: int = 64,
        **rest: Any,
    ) -> None:
        self.slots = slots
        self.pick_cap = pick_cap
        self.token_cap = token_cap
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        rest |= {"pad_token_id": PAD, "eos_token_id": STOP, "tie_word_embeddings": False, "use_cache": False}
        self.vocab_size = Actions(slots).size
        super().__init__(**rest)

    @property
    def actions(self) -> Actions:
        return Actions(self.slots)

    @property
    def caps(self) -> Caps:
        return Caps(self.pick_cap, self.token_cap)


@dataclass(frozen=True, slots=True)
class EncodedState:
    """What the pointer makes of question and slots before any action: the same at every step.

    Question and ``hidden`` are P_q e_q and h_i, ``asked`` and ``offered`` D q and A h_i, ``likeness`` the cosines
    between slots, ``tokens`` their lengths, ``free`` which may be picked at all, ``preferred`` the style's own view.
    """

    question: Tensor
    hidden: Tensor
    asked: Tensor
    offered: Tensor
    likeness: Tensor
    tokens: Tensor
    free: Tensor
    preferred: Tensor


class Pointer(PreTrainedModel):
    """The base model: token ids in, masked action logits out as ``last_hidden_state`` [batch, length, actions]."""

    config_class = PolicyConfig
    base_model_prefix = "pointer"
    embedding: Tensor
    numbers: Tensor
    tokens: Tensor
    pinned: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__(config)
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
        self.post_init()
        self.read(_empty_table(config.embedding_size))

    def read(self, table: FeatureTable) -> None:
        """Put another frozen table in place; the checkpoint does not hold it."""
        self.register_buffer("embedding", torch.from_numpy(table.embedding), persistent=False)
        self.register_buffer("numbers", torch.from_numpy(table.numbers), persistent=False)
        self.register_buffer("tokens", torch.from_numpy(table.tokens), persistent=False)
        self.register_buffer("pinned", torch.from_numpy(table.pinned), persistent=False)

    def _init_weights(self, module: nn.Module) -> None:
        """Keep torch's own initial weights: those of language models are too small for one hidden layer."""

    def get_input_embeddings(self) -> nn.Module:
        """The layer that first touches the input (the trainer asks for one to hang gradient hooks on)."""
        return self.read_segment

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **unused: Any
    ) -> BaseModelOutputWithPast:
        """Masked logits of the next action at every position; positions inside the prompt are all zero."""
        actions = self.config.vocab_size
        rows, present = self.slots(input_ids)
        first = int(max(0, (input_ids >= actions).int().cumsum(1).argmax(1).min()))
        scores = self.scores(input_ids[:, first:], self.hear(rows, present))
        logits = scores.new_zeros(*input_ids.shape, actions)
        logits[:, first:] = scores
        return BaseModelOutputWithPast(last_hidden_state=logits)

    def slots(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of question and slots [batch, 1 + slots] and which are there (bool), from a prompt's ids."""
        is_row = input_ids >= self.config.vocab_size
        place = torch.where(is_row, is_row.cumsum(1) - 1, self.config.slots + 1)  # the last place gathers non-rows
        shape = (len(input_ids), self.config.slots + 2)
        rows = input_ids.new_zeros(shape).scatter(1, place, torch.where(is_row, input_ids - self.config.vocab_size, 0))
        present = is_row.new_zeros(shape).scatter(1, place, is_row)
        return rows[:, :-1], present[:, :-1]

    def hear(self, rows: Tensor, present: Tensor) -> EncodedState:
        """Question and slots read once, from their rows in the table."""
        there = present[:, 1:]
        embedding = self.embedding[rows]
        question = self.read_question(embedding[:, 0] * self.scale)
        hidden = self._read(embedding, question, self.numbers[rows[:, 1:]])
        hidden = hidden * there[..., None]
        segments = embedding[:, 1:]
        return EncodedState(
            question=question,
            hidden=hidden,
            asked=self.of_question(question),
            offered=self.of_segment(hidden),
            likeness=segments @ segments.transpose(1, 2),
            tokens=self.tokens[rows[:, 1:]],
            free=there & ~self.pinned[rows[:, 1:]],
            preferred=self._preference(hidden, rows, there),
        )

    def scores(self, ids: Tensor, heard: EncodedState) -> Tensor:
        """The equations of the module's docstring, for the positions ``ids`` [batch, steps] of a batch."""
        question, hidden = heard.question, heard.hidden
        chosen = _mark_picks(ids, self.config.slots)
        count = chosen.sum(-1, keepdim=True)
        picked = chosen @ hidden / count.clamp(min=1)
        overlap = _overlap_with_picks(chosen, heard.likeness)
        picks = self.pick(
            nn.functional.gelu(
                heard.offered[:, None]
                + self.of_picked(picked)[:, :, None]
                + heard.asked[:, None, None]
                + self.of_overlap(overlap[..., None])
            )
        )[..., 0]

        styled = ((ids >= FIRST_STYLE) & (ids < FIRST_PICK)).cumsum(1)[..., None] > 0
        spent = chosen @ heard.tokens.to(chosen.dtype)[..., None]
        left = self.config.token_cap - spent
        open_slots = heard.free[:, None] & (chosen == 0) & (count < self.config.pick_cap)
        open_slots = open_slots & (heard.tokens[:, None] <= left) & styled
        picks = picks.masked_fill(~open_slots, MASKED)

        best = picks.max(-1, keepdim=True).values.clamp(min=-10)
        asked = question[:, None].expand_as(picked)
        budget = torch.cat([count / self.config.pick_cap, left / self.config.token_cap, best], -1)
        stop = self.stop(nn.functional.gelu(self.weigh_stop(torch.cat([picked, asked, budget], -1))))
        stop = stop.masked_fill(~styled, MASKED)
        styles = self.style(torch.cat([question, heard.preferred], -1))[:, None]
        styles = styles.expand(-1, ids.shape[1], -1).masked_fill(styled, MASKED)

        never = picks.new_full((*ids.shape, 1), MASKED)
        return torch.cat([never, stop, never, styles, picks], -1)  # the order of ids in ``actions``

    def _read(self, embedding: Tensor, question: Tensor, numbers: Tensor) -> Tensor:
        """h_i for every slot, [batch, slots, hidden]."""
        segments = self.read_segment(embedding[:, 1:] * self.scale)
        cosine = (embedding[:, 1:] @ embedding[:, 0, :, None])[..., :1]
        joined = torch.cat([segments, segments * question[:, None], cosine, numbers], -1)
        return self.dropout(nn.functional.gelu(self.join(joined)))

    def _preference(self, hidden: Tensor, rows: Tensor, there: Tensor) -> Tensor:
        """Mean of h over the segments that say how she likes to be answered; zero where none does."""
        mask = (self.numbers[rows[:, 1:], PREFERENCE] * there)[..., None]
        return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)


class Policy(PreTrainedModel, GenerationMixin):
    """The causal language model around ``Pointer``: its logits pass through a frozen identity."""

    config_class = PolicyConfig
    base_model_prefix = "pointer"

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__(config)
        self.pointer = Pointer(config)
        self.lm_head = nn.Linear(config.vocab_size, config.vocab_size, bias=False)
        self.post_init()
        with torch.no_grad():
            self.lm_head.weight.copy_(torch.eye(config.vocab_size))
        self.lm_head.weight.requires_grad_(False)

    def _init_weights(self, module: nn.Module) -> None:
        """As in ``Pointer``."""

    def get_input_embeddings(self) -> nn.Module:
        return self.pointer.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, logits_to_keep: int = 0, **unused: Any
    ) -> CausalLMOutputWithPast:
        """Logits of the next action [batch, length or ``logits_to_keep``, actions]."""
        hidden = self.pointer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return CausalLMOutputWithPast(logits=self.lm_head(hidden[:, -logits_to_keep:]))


def _mark_picks(ids: Tensor, slots: int) -> Tensor:
    """1 where a slot is picked at or before a position, [batch, steps, slots] float."""
    picked = nn.functional.one_hot((ids - FIRST_PICK).clamp(0, slots - 1), slots)
    is_pick = (ids >= FIRST_PICK) & (ids < FIRST_PICK + slots)
    return (picked * is_pick[..., None]).cumsum(1).clamp(max=1).float()


def _overlap_with_picks(chosen: Tensor, likeness: Tensor) -> Tensor:
    """Each slot's greatest cosine to what is picked already, [batch, steps, slots]; 0 before the first pick."""
    return (chosen[:, :, None] * likeness[:, None]).max(-1).values.clamp(min=0)


def _empty_table(size: int) -> FeatureTable:
    return FeatureTable(
        np.zeros((1, size), np.float32),
        np.zeros((1, NUMERIC_FEATURES), np.float32),
        np.zeros(1, np.int64),
        np.zeros(1, bool),
    )
