"""A small classifier for warning signs that no rule spells out.

    s(m) = w·x(m) / 4 + Σ_i a_i exp(−γ ‖e(m) − e_i‖²) + b,   flagged where s(m) ≥ t

x are hashed n-grams (models/safety/triage/ngrams.py), e the sentence embedding that the endpoint computes anyway; the
kernel part is for English only, because the encoder reads English. The classifier never de-escalates: rules and
classifier each escalate alone. Weights are fitted by ``pmlm triage --learn`` on messages written for it
(pipelines/triage), no patient's; a threshold is the score that a set share of routine messages reaches out of fold.

Run: ``pmlm triage FILE``, ``python -m benchmarks.triage``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors import safe_open

from models.safety.triage.ngrams import hash_ngrams

WEIGHTS = Path(__file__).parent / "classifier.safetensors"
NGRAM_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class TriageClassifier:
    """The fitted numbers of one language; ``support`` is empty where no embedding is read."""

    language: str
    idf: np.ndarray
    weights: np.ndarray
    bias: float
    support: np.ndarray
    dual: np.ndarray
    gamma: float
    threshold: float

    def score(self, text: str, vector: np.ndarray | None = None) -> float:
        """s(m), to four decimals so that a machine's last bits decide nothing."""
        buckets, values = hash_ngrams(text, self.language, self.idf)
        total = NGRAM_SHARE * float(self.weights[buckets] @ values) + self.bias
        if len(self.support):
            if vector is None:
                raise ValueError(f"the {self.language} classifier needs the message's embedding")
            apart = 2.0 - 2.0 * (self.support @ vector).astype(np.float64)
            total += float(self.dual @ np.exp(-self.gamma * apart))
        return round(total, 4)

    def margin(self, text: str, vector: np.ndarray | None = None) -> float:
        """How far s(m) is above the threshold."""
        return round(self.score(text, vector) - self.threshold, 4)


@cache
def read_metadata() -> dict[str, str]:
    """Read the weights' metadata: version, encoder, digest of the training messages."""
    with safe_open(WEIGHTS, "np") as file:
        return dict(file.metadata())


@cache
def load_classifier(language: str) -> TriageClassifier:
    """The shipped classifier of ``en`` or ``zh``."""
    with safe_open(WEIGHTS, "np") as file:

        def read(name: str, kind: type = np.float64) -> np.ndarray:
            return np.asarray(file.get_tensor(f"{language}.{name}"), kind)

        bias, gamma, threshold = read("scalars").tolist()
        support = read("support", np.float32)  # thousands of rows, read through for every question
        return TriageClassifier(language, read("idf"), read("weights"), bias, support, read("dual"), gamma, threshold)
