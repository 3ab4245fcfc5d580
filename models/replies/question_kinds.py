"""Group questions of one kind: those whose sentence vectors are near each other.

kind(q) = argmax_c cos(e(q), c)        c: the first question of each group, in alphabetical order, cosine ≥ 0.6
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.encoder import Encoder

SAME_KIND_COSINE = 0.6  # questions with at least this cosine are of one kind


def cluster_questions(questions: Sequence[str], encoder: Encoder) -> np.ndarray:
    """Cluster questions greedily by cosine; return each cluster's first vector, [kinds, width]."""
    texts = sorted(set(questions))
    if not texts:
        return np.zeros((0, 0))
    return cluster_vectors(encoder.encode(texts), SAME_KIND_COSINE)[1]


def find_question_kind(question: str, kinds: np.ndarray, encoder: Encoder) -> int:
    """Find the kind a question is nearest to; 0 where there is none."""
    return int(np.round(kinds @ encoder.encode([question])[0], 5).argmax()) if len(kinds) else 0


def cluster_vectors(vectors: np.ndarray, same: float) -> tuple[np.ndarray, np.ndarray]:
    """Cluster unit vectors greedily in their order; return [n] cluster numbers and each cluster's first vector.

    A vector joins the nearest cluster with a cosine of at least ``same``, else it opens one.
    """
    found = np.zeros(len(vectors), np.int64)
    first = np.zeros_like(vectors)
    count = 0
    for i, vector in enumerate(vectors):
        near = np.round(first[:count] @ vector, 5)
        if not count or near.max() < same:
            first[count] = vector
            found[i] = count
            count += 1
        else:
            found[i] = int(near.argmax())
    return found, first[:count]
