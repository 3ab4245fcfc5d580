"""Fit the initial ranking to the uptake of training replies.

    β = argmin −Σ_f [y_f log p_f + (1 − y_f) log(1 − p_f)] + ‖β‖²/2       y_f ∈ [0, 1] soft labels

Each fact is two rows of scikit-learn's logistic regression, taken up with weight y and not with weight 1 − y. The
rates of a reply's facts leave its own patient out, so that β learns what rates of strangers are worth.

Run: ``pmlm stage episodes``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from models.encoder import Encoder
from models.peers.recommendation import Reply, fit_recommender, rate_facts
from models.prompt.ranking import FEATURES, Ranker, build_ranking_features


def fit_ranker(replies: Sequence[Reply], encoder: Encoder, k: int) -> Ranker | None:
    """Fit rates and weights; None where fewer than ``k`` patients have replies, or none takes anything up."""
    recommender = fit_recommender(replies, k)
    if recommender is None:
        return None
    parts, labels = [], []
    for reply in sorted((r for r in replies if r.facts), key=lambda r: r.id):
        rates = rate_facts(recommender, reply.question, reply.facts, reply.subject_id, reply.as_of)
        nearness = encoder.encode([s.text for s in reply.facts]) @ reply.question
        parts.append(build_ranking_features(rates, nearness, reply.facts))
        labels.append(np.clip(reply.uptake, 0.0, 1.0))
    rows, y = np.round(np.concatenate(parts), 5), np.round(np.concatenate(labels), 5)
    if not 0.0 < y.sum() < len(y):
        return None
    model = LogisticRegression(fit_intercept=False, max_iter=500)
    model.fit(np.vstack([rows, rows]), np.repeat([1, 0], len(y)), sample_weight=np.concatenate([y, 1.0 - y]))
    weights = tuple(round(float(w), 4) for w in model.coef_[0])
    return Ranker(recommender, weights) if len(weights) == len(FEATURES) else None
