"""Refiners that pick segments by predicted gain, fitted without RL as its controls.

    fixed      ĝ(s) = mean gain of s.key over all training episodes        one ranking of keys for all patients
    table      ĝ(s) = mean gain of (kind of question, s.key, text without numbers), else of (kind, key), else 0
    regressor  ĝ(s) = β · φ(q, s) + b,   β = argmin Σ (g − ĝ)² + λ ‖β‖²       ridge on the policy's inputs and words

    picks = the segments with the greatest ĝ(s) > 0 that fit the caps,   style = the one of greatest mean gain

Departures from textbook ridge regression:
1. λ is chosen among ``PENALTIES`` by cross-validation over patients, so no patient is on both sides of a fold; the
   intercept b is each fold's mean gain, not fitted (so not ``RidgeCV``, which fits one or none).
2. Words are hashed (Weinberger et al. 2009) by BLAKE2b, not by the MurmurHash3 of scikit-learn's ``HashingVectorizer``:
   the weights of a saved refiner are indexed by these positions, so the hash is frozen.
``fixed`` and ``table`` know keys only and predict 0 for a segment they have not met; ``regressor`` generalizes.

Run: ``pmlm train`` with ``train.method: fixed``, ``table`` or ``regressor`` in ``clinic.yaml``.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

import numpy as np

from models.encoder import Encoder
from models.refiner.featurizer import numeric_features
from models.refiner.interface import STYLES, Caps
from models.replies.question_kinds import cluster_questions, find_question_kind
from models.replies.sentences import mask_numbers
from models.schema import EditProgram, Segment

WORDS = 256  # positions of the hashed words
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
FOLDS = 5  # of patients
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class MeasuredEpisode:
    """One training episode: question, patient, segments, and each segment's gain (NaN if pinned).

    ``styles`` [len(STYLES)] are the gains of the style directives.
    """

    question: str
    subject_id: int
    segments: tuple[Segment, ...]
    gains: np.ndarray
    styles: np.ndarray


class GainModel(Protocol):
    """Predicts gains (nats) of free segments for a question, [segments]."""

    kind: ClassVar[str]

    def __call__(self, question: str, free: Sequence[Segment]) -> np.ndarray: ...


@dataclass(frozen=True)
class FixedGainModel:
    """ĝ by key."""

    kind: ClassVar[str] = "fixed"
    mean: dict[str, float]

    def __call__(self, question: str, free: Sequence[Segment]) -> np.ndarray:
        return np.array([self.mean.get(s.key, 0.0) for s in free])


@dataclass(frozen=True)
class TableGainModel:
    """ĝ by kind of question, key and hashed text; ``kinds`` [kinds, width] are unit vectors."""

    kind: ClassVar[str] = "table"
    kinds: np.ndarray
    fine: dict[tuple[int, str, str], float]
    coarse: dict[tuple[int, str], float]
    encoder: Encoder

    def __call__(self, question: str, free: Sequence[Segment]) -> np.ndarray:
        kind = find_question_kind(question, self.kinds, self.encoder)
        fine = (self.fine.get((kind, s.key, hash_text(mask_numbers(s.text)))) for s in free)
        return np.array([
            self.coarse.get((kind, s.key), 0.0) if g is None else g for g, s in zip(fine, free, strict=True)
        ])  # fmt: skip


@dataclass(frozen=True)
class RidgeGainModel:
    """ĝ as a linear function of standardized ``build_gain_features``."""

    kind: ClassVar[str] = "regressor"
    weights: np.ndarray
    bias: float
    centre: np.ndarray
    scale: np.ndarray
    encoder: Encoder

    def __call__(self, question: str, free: Sequence[Segment]) -> np.ndarray:
        x = (build_gain_features(question, free, self.encoder) - self.centre) / self.scale
        return np.asarray(x @ self.weights + self.bias)


class GainRefiner:
    """Picks the segments with the greatest positive predicted gain, within the caps."""

    def __init__(self, id: str, caps: Caps, style: str, gain: GainModel) -> None:
        self.id = id
        self.caps = caps
        self.style = style
        self.gain = gain

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        free = [s for s in segments if not s.pinned]
        if not free:
            return EditProgram((), self.style)
        gains = np.round(self.gain(question, free), 6)
        order = [i for i in np.argsort(-gains, kind="stable") if gains[i] > 0]
        return EditProgram(tuple(s.key for s in self.caps.fit(free[i] for i in order)), self.style)


def fit_fixed(measured: Sequence[MeasuredEpisode], caps: Caps) -> GainRefiner:
    """Fit one ranking of keys for every question."""
    mean = _mean_by_key((s.key, g) for m in measured for s, g in _free_gains(m))
    return GainRefiner("fixed", caps, choose_style(measured), FixedGainModel(mean))


def fit_table(measured: Sequence[MeasuredEpisode], caps: Caps, encoder: Encoder) -> GainRefiner:
    """Fit mean gains by kind of question, key and text without numbers."""
    kinds = cluster_questions([m.question for m in measured], encoder)
    rows = [(find_question_kind(m.question, kinds, encoder), s, g) for m in measured for s, g in _free_gains(m)]
    fine = _mean_by_key(((kind, s.key, hash_text(mask_numbers(s.text))), g) for kind, s, g in rows)
    coarse = _mean_by_key(((kind, s.key), g) for kind, s, g in rows)
    return GainRefiner("table", caps, choose_style(measured), TableGainModel(kinds, fine, coarse, encoder))


def fit_regressor(measured: Sequence[MeasuredEpisode], caps: Caps, encoder: Encoder) -> GainRefiner:
    """Fit ridge regression of gains; choose its penalty by cross-validation over patients."""
    x = np.concatenate([build_gain_features(m.question, [s for s, _ in _free_gains(m)], encoder) for m in measured])
    y = np.array([g for m in measured for _, g in _free_gains(m)])
    groups = np.array([m.subject_id % FOLDS for m in measured for _ in _free_gains(m)])
    centre, scale = x.mean(0), x.std(0) + 1e-6
    weights, bias = _fit_ridge((x - centre) / scale, y, groups)
    return GainRefiner("regressor", caps, choose_style(measured), RidgeGainModel(weights, bias, centre, scale, encoder))


def build_gain_features(question: str, free: Sequence[Segment], encoder: Encoder) -> np.ndarray:
    """Build φ [segments, features]: cosine, numeric features, embedding product, embedding, hashed words."""
    if not free:
        return np.zeros((0, 0))
    vectors = encoder.encode([question, *(s.text for s in free)]).astype(np.float64)
    asked, embedded = vectors[0], vectors[1:]
    return np.hstack([
        (embedded @ asked)[:, None], np.array([numeric_features(s) for s in free]), embedded * asked, embedded,
        np.array([_hash_words(question, s.text) for s in free]),
    ])  # fmt: skip


def hash_text(text: str) -> str:
    """Hash a text, since a saved table may hold no text of a record."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def choose_style(measured: Sequence[MeasuredEpisode]) -> str:
    """Choose the style of greatest mean gain; plain without measurements."""
    return STYLES[int(np.argmax(np.mean([m.styles for m in measured], axis=0)))] if measured else STYLES[0]


def _free_gains(one: MeasuredEpisode) -> list[tuple[Segment, float]]:
    return [(s, float(g)) for s, g in zip(one.segments, one.gains, strict=True) if not np.isnan(g)]


def _mean_by_key(pairs: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    found: dict[Key, list[float]] = defaultdict(list)
    for key, gain in pairs:
        found[key].append(gain)
    return {key: float(np.mean(gains)) for key, gains in found.items()}


def _hash_words(question: str, text: str) -> np.ndarray:
    """Count a segment's words, and its words shared with the question, at signed hash positions."""
    out = np.zeros(WORDS)
    asked = set(re.findall(r"\w+", question.lower()))
    for word in re.findall(r"\w+", text.lower()):
        for token in (word, f"{word}&") if word in asked else (word,):
            digest = hashlib.blake2b(token.encode(), digest_size=8).digest()
            out[int.from_bytes(digest[:4], "big") % WORDS] += 1 if digest[4] & 1 else -1
    return out


def _fit_ridge(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit weights and bias with the penalty of least mean squared error over folds ``groups``."""
    from sklearn.compose import TransformedTargetRegressor  # here: serving loads refiners and fits none
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.preprocessing import StandardScaler

    model = TransformedTargetRegressor(
        Ridge(PENALTIES[0], fit_intercept=False), transformer=StandardScaler(with_std=False)
    )
    if len(np.unique(groups)) > 1:
        grid, folds = {"regressor__alpha": PENALTIES}, PredefinedSplit(groups)
        model = GridSearchCV(model, grid, scoring="neg_mean_squared_error", cv=folds).fit(x, y).best_estimator_
    else:
        model.fit(x, y)
    return model.regressor_.coef_, float(y.mean())
