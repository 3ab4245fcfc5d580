"""What RL must be worth beside: refiners learnt from the same single gains without it.

    fixed     g(s) = mean gain of s.key over all training episodes          one ranking of keys for everybody
    table     g(s) = mean gain of (kind of question, s.key, wording of s)   falls back to (kind, key), then to 0
    regressor g(s) = β · φ(q, s)                                            ridge on what the policy reads, and words

Each keeps the segments of greatest predicted gain above zero, as many as the caps allow, and the style of greatest mean
gain. A kind of question is the nearest of the training questions' own; a wording is the text without its numbers. The
fixed ranking and the table know keys, so they have nothing to say of segments never seen; the regressor reads.
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
from models.schema import EditProgram, Segment

WORDS = 256
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
FOLDS = 5
Key = TypeVar("Key")
SAME_KIND_COSINE = 0.6  # cosine above which two questions ask the same


@dataclass(frozen=True, slots=True)
class MeasuredEpisode:
    """One training episode: its question, patient, the segments seen, and what each is worth alone (NaN if pinned);
    ``styles`` [len(STYLES)] the gains of the style directives."""

    question: str
    subject_id: int
    segments: tuple[Segment, ...]
    gains: np.ndarray
    styles: np.ndarray


class GainModel(Protocol):
    """Predicted gains (nats) of free segments for a question: [segments]."""

    kind: ClassVar[str]

    def __call__(self, question: str, free: Sequence[Segment]) -> np.ndarray: ...


@dataclass(frozen=True)
class FixedGainModel:
    """g by key."""

    kind: ClassVar[str] = "fixed"
    mean: dict[str, float]

    def __call__(self, question: str, free: Sequence[Segment]) -> np.ndarray:
        return np.array([self.mean.get(s.key, 0.0) for s in free])


@dataclass(frozen=True)
class TableGainModel:
    """g by kind of question, key and hashed wording, else by kind and key; a kind is a row of unit vectors."""

    kind: ClassVar[str] = "table"
    kinds: np.ndarray
    fine: dict[tuple[int, str, str], float]
    coarse: dict[tuple[int, str], float]
    encoder: Encoder

    def __call__(self, question: str, free: Sequence[Segment]) -> np.ndarray:
        kind = find_question_kind(question, self.kinds, self.encoder)
        return np.array([
            self.fine.get((kind, s.key, hash_text(mask_numbers(s.text))), self.coarse.get((kind, s.key), 0.0)) for s in free
        ])  # fmt: skip


@dataclass(frozen=True)
class RidgeGainModel:
    """g as a linear function of ``build_gain_features``, centred and scaled."""

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
    """Keeps the segments whose predicted gain is greatest and above zero, within the caps."""

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
    """One ranking of keys for every question."""
    mean = _mean_by_key((s.key, g) for m in measured for s, g in _free_gains(m))
    return GainRefiner("fixed", caps, choose_style(measured), FixedGainModel(mean))


def fit_table(measured: Sequence[MeasuredEpisode], caps: Caps, encoder: Encoder) -> GainRefiner:
    """Mean gains by kind of question, key and wording."""
    kinds = cluster_questions([m.question for m in measured], encoder)
    rows = [(find_question_kind(m.question, kinds, encoder), s, g) for m in measured for s, g in _free_gains(m)]
    fine = _mean_by_key(((kind, s.key, hash_text(mask_numbers(s.text))), g) for kind, s, g in rows)
    coarse = _mean_by_key(((kind, s.key), g) for kind, s, g in rows)
    return GainRefiner("table", caps, choose_style(measured), TableGainModel(kinds, fine, coarse, encoder))


def fit_regressor(measured: Sequence[MeasuredEpisode], caps: Caps, encoder: Encoder) -> GainRefiner:
    """Ridge regression of gains on text and numbers; its penalty chosen by folds of patients."""
    x = np.concatenate([build_gain_features(m.question, [s for s, _ in _free_gains(m)], encoder) for m in measured])
    y = np.array([g for m in measured for _, g in _free_gains(m)])
    groups = np.array([m.subject_id % FOLDS for m in measured for _ in _free_gains(m)])
    centre, scale = x.mean(0), x.std(0) + 1e-6
    penalty = min(PENALTIES, key=lambda p: _cross_validate((x - centre) / scale, y, groups, p))
    weights, bias = _fit_ridge((x - centre) / scale, y, penalty)
    return GainRefiner("regressor", caps, choose_style(measured), RidgeGainModel(weights, bias, centre, scale, encoder))


def build_gain_features(question: str, free: Sequence[Segment], encoder: Encoder) -> np.ndarray:
    """[segments, features]: cosine, numbers, product of the two embeddings, the segment's own, hashed words."""
    if not free:
        return np.zeros((0, 0))
    vectors = encoder.encode([question, *(s.text for s in free)]).astype(np.float64)
    asked, said = vectors[0], vectors[1:]
    return np.hstack([
        (said @ asked)[:, None], np.array([numeric_features(s) for s in free]), said * asked, said,
        np.array([_hash_words(question, s.text) for s in free]),
    ])  # fmt: skip


def mask_numbers(text: str) -> str:
    """A sentence without its numbers: the state that it tells."""
    return re.sub(r"\d+(\.\d+)?", "#", text)


def hash_text(text: str) -> str:
    """A text's name in a table that may be kept and served, which holds no text of a record."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def choose_style(measured: Sequence[MeasuredEpisode]) -> str:
    """The style of greatest mean gain; plain without measurements."""
    return STYLES[int(np.argmax(np.mean([m.styles for m in measured], axis=0)))] if measured else STYLES[0]


def _free_gains(one: MeasuredEpisode) -> list[tuple[Segment, float]]:
    return [(s, float(g)) for s, g in zip(one.segments, one.gains, strict=True) if not np.isnan(g)]


def _mean_by_key(pairs: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    found: dict[Key, list[float]] = defaultdict(list)
    for key, gain in pairs:
        found[key].append(gain)
    return {key: float(np.mean(gains)) for key, gains in found.items()}


def cluster_questions(questions: Sequence[str], encoder: Encoder) -> np.ndarray:
    """Kinds of question [kinds, dimensions]: the first question of each group of like ones."""
    first: list[np.ndarray] = []
    for text in sorted(set(questions)):
        vector = encoder.encode([text])[0]
        if not first or max(float(v @ vector) for v in first) < SAME_KIND_COSINE:
            first.append(vector)
    return np.stack(first) if first else np.zeros((0, 0))


def find_question_kind(question: str, kinds: np.ndarray, encoder: Encoder) -> int:
    """The kind that a question is nearest to; 0 where none is known."""
    return int(np.round(kinds @ encoder.encode([question])[0], 5).argmax()) if len(kinds) else 0


def _hash_words(question: str, text: str) -> np.ndarray:
    """Signed hash counts of the words of a segment, and of its words that the question holds too."""
    out = np.zeros(WORDS)
    asked = set(re.findall(r"\w+", question.lower()))
    for word in re.findall(r"\w+", text.lower()):
        for token in (word, f"{word}&") if word in asked else (word,):
            digest = hashlib.blake2b(token.encode(), digest_size=8).digest()
            out[int.from_bytes(digest[:4], "big") % WORDS] += 1 if digest[4] & 1 else -1
    return out


def _fit_ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    bias = float(y.mean())
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (y - bias))
    return weights, bias


def _cross_validate(x: np.ndarray, y: np.ndarray, groups: np.ndarray, penalty: float) -> float:
    """Mean squared error over folds of patients."""
    errors = []
    for fold in np.unique(groups):
        out = groups == fold
        if out.all():
            return 0.0
        weights, bias = _fit_ridge(x[~out], y[~out], penalty)
        errors.append(((x[out] @ weights + bias - y[out]) ** 2).mean())
    return float(np.mean(errors))
