"""Predict a segment's reward gain from its overlap with the clinician's reply.

    ĝ(s | q, y) = f(φ(s, y))        f: random forest, least squares on the measured gains of some training episodes
    φ(s, y) = similarity of s to the specific sentences of y (cosines, shared rare words and numbers), its rank in that
              within the episode, its cosine to the question, and its length

A measured gain (``models.reward.terms``) costs one forward pass of the language model and is noisy; overlap with the
reply costs nothing. Departures from plain pseudo-labelling (Lee 2013):
1. Labels are regressed from another view, the reply, which the policy never sees: only training reads replies.
2. All training episodes get predicted gains, the measured ones too, so the measurement noise is averaged out.
The paper's abstract says only that prompts are aligned with what physicians recommended.

Run: ``pmlm train`` (before each warm start).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import GroupKFold, cross_val_predict

from models.encoder import Encoder

FOLDS = 5
MIN_MEASURED = 10  # episodes; with fewer no forest is fitted
UNSEEN_IDF = 6.0  # nats, of a word in no training text


@dataclass(frozen=True, slots=True)
class EpisodeText:
    """Texts of one training episode: question, specific reply sentences, free segments."""

    subject_id: int
    question: str
    reply: tuple[str, ...]
    texts: tuple[str, ...]
    tokens: tuple[int, ...]


Predict = Callable[[np.ndarray], np.ndarray]


def compute_idf(texts: Iterable[str]) -> dict[str, float]:
    """Compute the inverse document frequency (nats) of every word of ``texts``."""
    counts: Counter[str] = Counter()
    n = 0
    for text in texts:
        counts.update(_words(text))
        n += 1
    return {word: math.log(n / c) for word, c in counts.items()}


def build_overlap_features(episode: EpisodeText, encoder: Encoder, idf: Mapping[str, float]) -> np.ndarray:
    """Compute φ [segments, 11]; columns of the reply are 0 without specific sentences."""
    if not episode.texts:
        return np.zeros((0, 11))
    vectors = np.round(encoder.encode([episode.question, *episode.reply, *episode.texts]), 5)
    asked, replies, segments = np.split(vectors, [1, 1 + len(episode.reply)])
    if not episode.reply:
        replies = np.zeros((1, vectors.shape[1]))
    near = segments @ replies.T
    greatest = near.max(1)
    ranked = np.argsort(np.argsort(-greatest, kind="stable"), kind="stable")
    nearest = near.max(0)[near.argmax(1)] == greatest  # the closest segment to the sentence it is closest to
    reply_words = [_words(sentence) for sentence in episode.reply]
    shared = np.array([_lexical_overlap(_words(text), reply_words, idf) for text in episode.texts])
    return np.column_stack([
        greatest, near.mean(1), greatest - np.median(greatest), ranked, nearest, shared, segments @ asked[0],
        np.array(episode.tokens) / 30,
    ])  # fmt: skip


def fit_predictor(
    x: Sequence[np.ndarray], gains: Sequence[np.ndarray], patients: Sequence[int]
) -> tuple[Predict, float] | None:
    """Fit f; return it with the correlation of out-of-fold predictions (folds by patient) and gains.

    One array per episode; NaN gains are skipped. None with too few episodes, or where that correlation is not positive.
    """
    if len(x) < MIN_MEASURED or len(set(patients)) < FOLDS:
        return None
    groups = np.repeat(patients, [len(part) for part in x])
    rows, target = np.concatenate(x), np.concatenate(gains)
    known = ~np.isnan(target)
    rows, target, groups = rows[known], target[known], groups[known]
    out_of_fold = cross_val_predict(_forest(), rows, target, groups=groups, cv=GroupKFold(FOLDS))
    if out_of_fold.std() < 1e-9 or target.std() < 1e-9:
        return None
    correlation = float(np.corrcoef(out_of_fold, target)[0, 1])
    return (_forest().fit(rows, target).predict, correlation) if correlation > 0 else None


def _forest() -> RandomForestRegressor:
    """Build a forest of large leaves and many trees, since a gain is mostly noise."""
    return RandomForestRegressor(300, min_samples_leaf=8, max_features=0.5, random_state=0)


def _lexical_overlap(
    own: set[str], reply: Sequence[set[str]], idf: Mapping[str, float]
) -> tuple[float, float, float, float]:
    """Measure words (IDF, share) and numbers (count, share) in common with one reply sentence."""
    figures = {w for w in own if w[0].isdigit()}
    weight = math.fsum(idf.get(w, UNSEEN_IDF) for w in own) or 1.0  # exact: a set has no order of its own
    words = max((math.fsum(idf.get(w, UNSEEN_IDF) for w in own & other) for other in reply), default=0.0)
    numbers = max((len(figures & other) for other in reply), default=0)
    return words, words / weight, float(numbers), numbers / max(1, len(figures))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+(?:\.\d+)?", text.lower()))
