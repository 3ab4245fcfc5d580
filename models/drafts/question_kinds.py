"""Kinds of question that enough patients have asked, as mean vectors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from models.encoder import Encoder
from models.replies.question_kinds import SAME_KIND_COSINE, cluster_vectors
from models.schema import Episode


def find_kinds(episodes: Sequence[Episode], encoder: Encoder, k: int) -> tuple[list[np.ndarray], list[int]]:
    """Find the kinds as mean unit vectors of ≥ k patients' questions, and each episode's kind.

    A kind of fewer patients joins the nearest of the others, so that no vector is one patient's; with fewer than ``k``
    patients in all there is none.
    """
    if len({e.subject_id for e in episodes}) < k:
        return [], [0] * len(episodes)
    vectors = encoder.encode([e.question for e in episodes])
    order = sorted(range(len(episodes)), key=lambda i: (episodes[i].question, episodes[i].episode_id))
    clusters, _ = cluster_vectors(vectors[order], SAME_KIND_COSINE)
    of = {i: int(cluster) for i, cluster in zip(order, clusters, strict=True)}
    patients: dict[int, set[int]] = defaultdict(set)
    for i, cluster in of.items():
        patients[cluster].add(episodes[i].subject_id)
    large = sorted(cluster for cluster, own in patients.items() if len(own) >= k)
    if not large:
        return [_unit(vectors[order].mean(axis=0))], [0] * len(episodes)
    means = [_unit(vectors[[i for i in order if of[i] == cluster]].mean(axis=0)) for cluster in large]
    nearest = np.round(vectors @ np.stack(means).T, 5).argmax(axis=1)
    return means, [large.index(of[i]) if of[i] in large else int(nearest[i]) for i in range(len(episodes))]


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), dtype=np.float64)
