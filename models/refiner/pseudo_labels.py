"""What a reply tells of a sentence's worth: single gains predicted from how the reply takes the sentence up.

    ĝ(s | q, y) = f(φ(s, y))        f: a random forest, least squares on the measured gains of some training episodes
    φ(s, y) = how near s is to the specific sentences of y (cosines, rare words and numbers they share), how s ranks
              in that among the episode's other sentences, how near it is to the question, and its length

A single gain is dear (one pass of the language model) and noisy; that a reply speaks of a fact can be read for nothing.
The measured gains say what reading is worth, so the labels stay those of the reward, with its noise averaged over
episodes, for every training episode instead of the few that were paid for. Replies are read in training alone: the
policy never sees one. Our own; the paper's abstract says only that prompts are aligned with what physicians
recommended.
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
MIN_MEASURED = 10  # episodes; fewer do not tell what reading is worth
UNSEEN_IDF = 6.0  # nats: the rarity of a word that no training text holds


@dataclass(frozen=True, slots=True)
class EpisodeText:
    """One training episode: question, the reply's patient-specific sentences, the free segments and their tokens."""

    subject_id: int
    question: str
    reply: tuple[str, ...]
    texts: tuple[str, ...]
    tokens: tuple[int, ...]


Predict = Callable[[np.ndarray], np.ndarray]


def compute_idf(texts: Iterable[str]) -> dict[str, float]:
    """Inverse document frequency of every word of ``texts``, in nats."""
    counts: Counter[str] = Counter()
    n = 0
    for text in texts:
        counts.update(_words(text))
        n += 1
    return {word: math.log(n / c) for word, c in counts.items()}


def build_overlap_features(reading: EpisodeText, encoder: Encoder, rare: Mapping[str, float]) -> np.ndarray:
    """φ of every free sentence, [sentences, 11]; all zero columns of the reply where it has no specific sentence."""
    if not reading.texts:
        return np.zeros((0, 11))
    vectors = np.round(encoder.encode([reading.question, *reading.reply, *reading.texts]), 5)
    asked, said, offered = np.split(vectors, [1, 1 + len(reading.reply)])
    if not reading.reply:
        said = np.zeros((1, vectors.shape[1]))
    near = offered @ said.T
    greatest = near.max(1)
    ranked = np.argsort(np.argsort(-greatest, kind="stable"), kind="stable")
    nearest = near.max(0)[near.argmax(1)] == greatest  # no other sentence is nearer to what it is nearest to
    replied = [_words(said) for said in reading.reply]
    shared = np.array([_lexical_overlap(_words(text), replied, rare) for text in reading.texts])
    return np.column_stack([
        greatest, near.mean(1), greatest - np.median(greatest), ranked, nearest, shared, offered @ asked[0],
        np.array(reading.tokens) / 30,
    ])  # fmt: skip


def fit_predictor(
    x: Sequence[np.ndarray], gains: Sequence[np.ndarray], patients: Sequence[int]
) -> tuple[Predict, float] | None:
    """f, and the correlation of its predictions with the gains of patients it was not fitted on.

    One array an episode; a gain of NaN is passed over. None where there is too little to learn from, or where reading
    the replies tells nothing of the gains (that correlation is not positive).
    """
    if len(x) < MIN_MEASURED or len(set(patients)) < FOLDS:
        return None
    groups = np.repeat(patients, [len(part) for part in x])
    rows, target = np.concatenate(x), np.concatenate(gains)
    known = ~np.isnan(target)
    rows, target, groups = rows[known], target[known], groups[known]
    held_out = cross_val_predict(_forest(), rows, target, groups=groups, cv=GroupKFold(FOLDS))
    if held_out.std() < 1e-9 or target.std() < 1e-9:
        return None
    told = float(np.corrcoef(held_out, target)[0, 1])
    return (_forest().fit(rows, target).predict, told) if told > 0 else None


def _forest() -> RandomForestRegressor:
    """Wide leaves and many trees: a gain is mostly noise."""
    return RandomForestRegressor(300, min_samples_leaf=8, max_features=0.5, random_state=0)


def _lexical_overlap(
    own: set[str], reply: Sequence[set[str]], rare: Mapping[str, float]
) -> tuple[float, float, float, float]:
    """Rarity and share of the words, count and share of the numbers, that the likest reply sentence holds too."""
    figures = {w for w in own if w[0].isdigit()}
    weight = math.fsum(rare.get(w, UNSEEN_IDF) for w in own) or 1.0  # exact: a set has no order of its own
    words = max((math.fsum(rare.get(w, UNSEEN_IDF) for w in own & said) for said in reply), default=0.0)
    numbers = max((len(figures & said) for said in reply), default=0)
    return words, words / weight, float(numbers), numbers / max(1, len(figures))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+(?:\.\d+)?", text.lower()))
