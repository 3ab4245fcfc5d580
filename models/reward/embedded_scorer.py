"""The embedded scorer: log-probability of a clinician's reply under the frozen SmolLM2-135M, teacher-forced.

    log p(y | p, q) = Σ_t log softmax(f(system p, user q, y_<t))[y_t]       summed per reply sentence

The paper's LLM may be proprietary and gives no likelihoods; a small open one stands in as the judge of which facts
the reply needs. The arithmetic is that of a plain forward pass whose matrix products read bfloat16 (weights and
inputs; residuals, norms, attention and the vocabulary projection stay in fp32). What makes it cheap: those products
where the processor has them, the beginning that trials share (``Trial.opening``) run once and its key-value cache
reused, the rest batched, padded on the right, where causal attention cannot see it, and the vocabulary projection taken
at reply tokens only. Beside fp32 it was 1.3 times as fast on a busy machine, and the gains it measures correlate with
fp32's by .997 within an episode (benchmarks/scorer.py, benchmarks/results/scorer.json).
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

#: Bits beyond this depend on what a trial is batched with; they are cut before anything is kept.
DECIMALS = 5
KeyValues = list[tuple[torch.Tensor, torch.Tensor]]
#: Token ids after the opening, the reply's own ids, the sentence of each; and the position of its trial.
Row = tuple[tuple[list[int], list[int], list[int]], int]


class HalfProduct(nn.Module):
    """A bias-free linear layer whose product reads bfloat16 and whose result is rounded to it, fp32 in and out.

    A processor without bfloat16 products multiplies the same rounded numbers in fp32: slower, the same definition, so
    that scores made on either may be kept together.
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


def halve(model: nn.Module, native: bool) -> None:
    """Replace every linear layer inside the decoder's blocks by its ``HalfProduct``."""
    for name, child in list(model.named_children()):
        if isinstance(child, nn.Linear):
            setattr(model, name, HalfProduct(child, native))
        else:
            halve(child, native)


def native_halves() -> bool:
    """Whether this processor multiplies bfloat16 itself."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


class EmbeddedScorer:
    """Scores trials on the CPU. ``folder`` is where the LLM is unpacked (models/llm.py).

    ``halved``: products of bfloat16; else everything in fp32. A halved score depends on its batch by some thousandths
    of a nat a token, an fp32 one by some millionths.
    """

    def __init__(self, folder: Path, batch: int = 16, shared_tokens: int = 8_000, *, halved: bool = True) -> None:
        self.folder = folder
        self.halved = halved
        self.id = f"smollm2-135m-instruct-q4_1/{'bf16-products' if halved else 'fp32'}/chat1"
        self.batch = batch
        self.shared_tokens = shared_tokens  # kept key-value caches, in tokens (46 kB each)
        self._shared: OrderedDict[tuple[int, ...], KeyValues] = OrderedDict()

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.folder)

    @cached_property
    def _model(self) -> Any:
        load_tokenizer(self.folder)  # unpacks
        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32).eval()
        if self.halved:
            halve(model.model, native_halves())
        return model

    def sentences(self, trials: Sequence[Trial]) -> list[SentenceScores]:
        """One ``SentenceScores`` a trial, in order; trials with the same opening share its computation."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, trial in enumerate(trials):
            groups.setdefault(self._opening(trial), []).append(i)
        found: dict[int, SentenceScores] = {}
        for opening, members in groups.items():
            # by length, so that a batch pads little; ties by position, so that batches never depend on anything else
            rows = sorted(((self._rest(trials[i]), i) for i in members), key=lambda r: (len(r[0][0]), r[1]))
            for part in _batches(rows, self.batch):
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
        """Token ids after the opening, the reply's own ids (their tail), and the sentence index of each of those."""
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
            yield _per_sentence(log_p.tolist(), sentence)


def _batches(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    """Rows, ascending in length, cut where a batch is full or a quarter of its longest row would be padding."""
    start = 0
    for end in range(1, len(rows) + 1):
        full = end - start == size
        if end == len(rows) or full or len(rows[end][0][0]) > 4 / 3 * len(rows[start][0][0]):
            yield rows[start:end]
            start = end


def _per_sentence(log_p: Sequence[float], sentence: Sequence[int]) -> SentenceScores:
    n = max(sentence, default=-1) + 1
    sums, counts = [0.0] * n, [0] * n
    for value, i in zip(log_p, sentence, strict=True):
        sums[i] += value
        counts[i] += 1
    return SentenceScores(tuple(round(s, DECIMALS) for s in sums), tuple(counts))
