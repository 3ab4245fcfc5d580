"""A small classifier beside the rules: it reads what no rule spells out ("not a peep from the bump since lunch").

    s(m) = w·x(m) / 4 + Σ_i a_i exp(−γ ‖e(m) − e_i‖²) + b,   flagged where s(m) ≥ t and the sign fits the context
    P(sign | m) = softmax(U [x(m); e(m)] + c)

x are hashed n-grams (models/triage/ngrams.py), e the sentence embedding that the endpoint computes anyway; the kernel
part is for English only, because the encoder reads English. The paper leaves safety aside. It never calms: rules and
classifier each escalate alone. Weights are fitted by ``pmlm triage --learn`` on messages written for it
(pipelines/triage), no patient's; a threshold is the score that a set share of routine messages reaches out of fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors import safe_open

from models.triage.ngrams import hashed

WEIGHTS = Path(__file__).parent / "classifier.safetensors"
#: Buckets are folded to this many for naming the sign, which needs less.
FOLDED = 1 << 12
NGRAM_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far a message is above the threshold (≥ 0: flagged), and the probability of each sign if it is one."""

    margin: float
    signs: dict[str, float]


@dataclass(frozen=True, slots=True)
class Classifier:
    """The fitted numbers of one language; ``support`` is empty where no embedding is read."""

    language: str
    idf: np.ndarray
    weights: np.ndarray
    bias: float
    support: np.ndarray
    dual: np.ndarray
    gamma: float
    threshold: float
    names: tuple[str, ...]
    sign_weights: np.ndarray
    sign_bias: np.ndarray

    def score(self, text: str, vector: np.ndarray | None = None) -> float:
        """s(m), to four decimals so that a machine's last bits decide nothing."""
        buckets, values = hashed(text, self.language, self.idf)
        total = NGRAM_SHARE * float(self.weights[buckets] @ values) + self.bias
        if len(self.support):
            if vector is None:
                raise ValueError(f"the {self.language} classifier needs the message's embedding")
            apart = 2.0 - 2.0 * (self.support @ vector.astype(np.float64))
            total += float(self.dual @ np.exp(-self.gamma * apart))
        return round(total, 4)

    def verdict(self, text: str, vector: np.ndarray | None = None) -> Verdict:
        """Margin and signs of a message."""
        read = sign_features(text, self.language, self.idf, vector if len(self.support) else None)
        logits = self.sign_weights @ read + self.sign_bias
        powers = np.exp(logits - logits.max())
        shares = (powers / powers.sum()).round(4)
        return Verdict(
            round(self.score(text, vector) - self.threshold, 4), dict(zip(self.names, shares.tolist(), strict=True))
        )


def sign_features(text: str, language: str, idf: np.ndarray, vector: np.ndarray | None) -> np.ndarray:
    """What names the sign: folded n-grams, and behind them the embedding where there is one."""
    buckets, values = hashed(text, language, idf)
    folded = np.zeros(FOLDED)
    np.add.at(folded, buckets % FOLDED, values)
    return folded if vector is None else np.concatenate([folded, vector.astype(np.float64)])


@cache
def metadata() -> dict[str, str]:
    """What the weights say of themselves: version, encoder, and the digest of the messages they were fitted on."""
    with safe_open(WEIGHTS, "np") as file:
        return dict(file.metadata())


@cache
def classifier(language: str) -> Classifier:
    """The shipped classifier of ``en`` or ``zh``."""
    with safe_open(WEIGHTS, "np") as file:

        def read(name: str) -> np.ndarray:
            return np.asarray(file.get_tensor(f"{language}.{name}"), np.float64)

        bias, gamma, threshold = read("scalars").tolist()
        return Classifier(
            language, read("idf"), read("weights"), bias, read("support"), read("dual"), gamma, threshold,
            tuple(metadata()[f"{language}.signs"].split()), read("sign_weights"), read("sign_bias"),
        )  # fmt: skip
