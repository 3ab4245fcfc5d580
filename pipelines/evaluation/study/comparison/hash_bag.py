"""A control that knows words alone: ridge on hashed words of segment and question.

    g(s) = β · bag(words of s, pairs (word of q, word of s))

Trained on the same single gains as the others. It memorises wordings; a refiner that beats it on wordings unseen in
training has learned more than words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import Ridge

from models.refiner.gain_regressors import GainRefiner, MeasuredEpisode, choose_style
from models.refiner.interface import Caps
from models.schema import Segment

WIDTH = 2**14
PENALTY = 0.1  # rows have unit length
_BAG = HashingVectorizer(n_features=WIDTH, analyzer=lambda tokens: tokens, norm="l2")


def fit_hash_bag(measured: Sequence[MeasuredEpisode], caps: Caps) -> GainRefiner:
    """Fit the control on measured episodes."""
    pairs = [
        (m.question, s, float(g)) for m in measured for s, g in zip(m.segments, m.gains, strict=True) if not np.isnan(g)
    ]
    model = Ridge(alpha=PENALTY, solver="lsqr", tol=1e-6)
    model.fit(_hash_pairs([(q, s) for q, s, _ in pairs]), np.array([g for _, _, g in pairs]))
    return GainRefiner("hash_bag", caps, choose_style(measured), HashBagGain(model))


@dataclass(frozen=True)
class HashBagGain:
    """Gain predicted by ridge on hashed words."""

    kind: ClassVar[str] = "hash_bag"
    model: Ridge

    def __call__(self, question: str, free: Sequence[Segment]) -> np.ndarray:
        return np.asarray(self.model.predict(_hash_pairs([(question, s) for s in free])))


def _hash_pairs(pairs: Sequence[tuple[str, Segment]]) -> csr_matrix:
    return _BAG.transform([_tokens(question, segment.text) for question, segment in pairs])


def _tokens(question: str, text: str) -> list[str]:
    words, asked = (re.findall(r"\w+", t.lower()) for t in (text, question))
    return [*words, *(f"{q}~{w}" for w in words for q in asked)]
