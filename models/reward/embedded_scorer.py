"""Score a clinician's reply by teacher forcing under the frozen, embedded SmolLM2-135M.

    log p(y | p, q) = Σ_t log softmax(f(system p, user q, y_<t))[y_t]       summed per reply sentence

Departures from a plain forward pass of the paper's LLM:
1. A small open model stands in for it, as a proprietary LLM gives no likelihoods of a given reply.
2. Linear layers multiply in bfloat16 (weights and inputs); residuals, norms, attention and the vocabulary projection
   stay in fp32. This was 1.3 times as fast as fp32 on a busy machine, and its gains correlate with fp32's by .997
   within an episode (benchmarks/scorer.py, benchmarks/results/scorer.json).
3. The prefix that trials share (``Trial.opening``) runs once and its key-value cache is reused; the rest is batched,
   padded on the right, where causal attention cannot see it.
4. The vocabulary projection is computed at reply tokens only.

Run: ``pmlm train`` (``PMLM_SCORER=embedded``, the default).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache

from models.llm import load_tokenizer
from models.reward.terms import SentenceScores, Trial

#: Further decimals depend on the batch of a trial; scores are rounded before they are cached.
DECIMALS = 5
KeyValues = list[tuple[torch.Tensor, torch.Tensor]]
#: Token ids after the opening, the reply's own ids, the sentence of each; and the position of its trial.
ScorerRow = tuple[tuple[list[int], list[int], list[int]], int]


class Bf16Linear(nn.Module):
    """A bias-free linear layer with bfloat16 inputs and result, fp32 in and out.

    A processor without bfloat16 multiplies the same rounded numbers in fp32: slower, but equal by definition, so both
    may share a cache.
    """

    def __init__(self, layer: nn.Linear, native: bool) -> None:
        super().__init__()
        self.native = native
        weight = layer.weight.detach().bfloat16()
        self.weight = nn.Parameter(weight if native else weight.float(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        half = x.bfloat16()
        if self.native:
            return nn.functional.linear(half, self.weight).float()
        return nn.functional.linear(half.float(), self.weight).bfloat16().float()


def convert_linear_layers(model: nn.Module, native: bool) -> None:
    """Replace every linear layer in the decoder's blocks by ``Bf16Linear``."""
    for name, child in list(model.named_children()):
        if isinstance(child, nn.Linear):
            setattr(model, name, Bf16Linear(child, native))
        else:
            convert_linear_layers(child, native)


def has_native_bf16() -> bool:
    """Report whether this processor multiplies bfloat16 natively."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


class EmbeddedScorer:
    """Scores trials on the CPU; ``folder`` is where the LLM is unpacked (models/llm.py).

    With ``bf16`` linear layers multiply in bfloat16, else in fp32. A score depends on its batch by some thousandths of
    a nat per token in bf16, by some millionths in fp32.
    """

    def __init__(self, folder: Path, batch: int = 16, shared_tokens: int = 8_000, *, bf16: bool = True) -> None:
        self.folder = folder
        self.bf16 = bf16
        self.id = f"smollm2-135m-instruct-q4_1/{'bf16-products' if bf16 else 'fp32'}/chat1"
        self.batch = batch
        self.shared_tokens = shared_tokens  # size of the key-value caches, in tokens (46 kB each)
        self._shared: OrderedDict[tuple[int, ...], KeyValues] = OrderedDict()

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.folder)

    @cached_property
    def _model(self) -> Any:
        load_tokenizer(self.folder)  # unpacks
        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32).eval()
        if self.bf16:
            convert_linear_layers(model.model, has_native_bf16())
        return model

    def score_sentences(self, trials: Sequence[Trial]) -> list[SentenceScores]:
        """Score trials in order; trials with the same opening share its computation."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, trial in enumerate(trials):
            groups.setdefault(self._opening(trial), []).append(i)
        found: dict[int, SentenceScores] = {}
        for opening, members in groups.items():
            # sorted by length to pad little; ties by position, so batches depend on nothing else
            rows = sorted(((self._rest(trials[i]), i) for i in members), key=lambda r: (len(r[0][0]), r[1]))
            for part in _split_batches(rows, self.batch):
                for (_, i), scores in zip(part, self._forward(opening, [r for r, _ in part]), strict=True):
                    found[i] = scores
        return [found[i] for i in range(len(trials))]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    @cached_property
    def _markers(self) -> tuple[int, int]:
        begin, end = self._tokenizer.token_to_id("<|im_start|>"), self._tokenizer.token_to_id("<|im_end|>")
        if begin is None or end is None:
            raise ValueError(f"the tokenizer in {self.folder} has no chat markers")
        return begin, end

    def _opening(self, trial: Trial) -> tuple[int, ...]:
        if not trial.prompt.startswith(trial.opening):
            raise ValueError("a trial's opening must begin its prompt")
        return (self._markers[0], *self._ids("system\n" + trial.opening))

    def _rest(self, trial: Trial) -> tuple[list[int], list[int], list[int]]:
        """Return token ids after the opening, the reply's own ids, and their sentence indices."""
        begin, end = self._markers
        chat = [*self._ids(trial.prompt[len(trial.opening) :]), end, *self._ids("\n")]
        chat += [begin, *self._ids("user\n" + trial.question), end, *self._ids("\n"), begin, *self._ids("assistant\n")]
        reply: list[int] = []
        sentence: list[int] = []
        for i, text in enumerate(trial.reply):
            ids = self._ids(text if i == 0 else " " + text)
            reply += ids
            sentence += [i] * len(ids)
        return chat + reply, reply, sentence

    @torch.inference_mode()
    def _key_values(self, opening: tuple[int, ...]) -> KeyValues:
        if opening in self._shared:
            self._shared.move_to_end(opening)
            return self._shared[opening]
        cache: Any = DynamicCache(config=self._model.config)
        self._model.model(input_ids=torch.tensor([opening]), past_key_values=cache, use_cache=True)
        self._shared[opening] = [(layer.keys, layer.values) for layer in cache.layers]
        while len(self._shared) > 1 and sum(map(len, self._shared)) > self.shared_tokens:
            self._shared.popitem(last=False)
        return self._shared[opening]

    @torch.inference_mode()
    def _forward(
        self, opening: tuple[int, ...], rows: Sequence[tuple[list[int], list[int], list[int]]]
    ) -> Iterator[SentenceScores]:
        shared, width = self._key_values(opening), max(len(ids) for ids, _, _ in rows)
        inputs = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.ones(len(rows), len(opening) + width, dtype=torch.long)
        for i, (ids, _, _) in enumerate(rows):
            inputs[i, : len(ids)] = torch.tensor(ids)
            mask[i, len(opening) + len(ids) :] = 0
        cache = DynamicCache(config=self._model.config)
        for layer, (keys, values) in enumerate(shared):
            cache.update(keys.expand(len(rows), -1, -1, -1), values.expand(len(rows), -1, -1, -1), layer)
        hidden = self._model.model(
            input_ids=inputs, attention_mask=mask, past_key_values=cache, use_cache=True
        ).last_hidden_state
        for state, (ids, reply, sentence) in zip(hidden, rows, strict=True):
            # the state before a token predicts it
            logits = self._model.lm_head(state[len(ids) - len(reply) - 1 : len(ids) - 1]).float()
            targets = torch.tensor(reply, dtype=torch.long)
            log_p = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(dim=-1)
            yield _sum_by_sentence(log_p.tolist(), sentence)


def _split_batches(rows: Sequence[ScorerRow], size: int) -> Iterator[Sequence[ScorerRow]]:
    """Split rows, ascending in length, into full batches with at most a quarter padding."""
    start = 0
    for end in range(1, len(rows) + 1):
        full = end - start == size
        if end == len(rows) or full or len(rows[end][0][0]) > 4 / 3 * len(rows[start][0][0]):
            yield rows[start:end]
            start = end


def _sum_by_sentence(log_p: Sequence[float], sentence: Sequence[int]) -> SentenceScores:
    n = max(sentence, default=-1) + 1
    sums, counts = [0.0] * n, [0] * n
    for value, i in zip(log_p, sentence, strict=True):
        sums[i] += value
        counts[i] += 1
    return SentenceScores(tuple(round(s, DECIMALS) for s in sums), tuple(counts))
