"""Fit the initial ranking to the uptake of training replies.

    β = argmin −Σ_f [y_f log p_f + (1 − y_f) log(1 − p_f)] + ‖β − β₀‖²/2       y_f ∈ [0, 1] soft labels

β₀ is ``models.relevance.PRIOR`` for relevance and 0 for the rest: a clinic of few replies looks at what guidance names.
The rates of a reply's facts leave its own patient out, so that β learns what rates of strangers are worth.

Run: ``pmlm stage episodes``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from models.encoder import Encoder
from models.peers.recommendation import Reply, fit_recommender, rate_facts
from models.prompt.ranking import FEATURES, Ranker, build_ranking_features
from models.relevance.concerns import PRIOR, compute_relevance, mark_findings

#: β₀, in the order of ``FEATURES``.
PRIOR_WEIGHTS = np.array([0.0] * (len(FEATURES) - len(PRIOR)) + [*PRIOR])


def fit_ranker(replies: Sequence[Reply], encoder: Encoder, k: int) -> Ranker | None:
    """Fit rates and weights; None where fewer than ``k`` patients have replies, or none takes anything up."""
    recommender = fit_recommender(replies, k)
    if recommender is None:
        return None
    parts, labels = [], []
    for reply in sorted((r for r in replies if r.facts), key=lambda r: r.id):
        rates = rate_facts(recommender, reply.question, reply.facts, reply.subject_id, reply.as_of)
        nearness = encoder.encode([s.text for s in reply.facts]) @ reply.question
        relevance = compute_relevance(reply.matches, mark_findings([s.key for s in reply.facts]))
        parts.append(build_ranking_features(rates, nearness, relevance, reply.facts))
        labels.append(np.clip(reply.uptake, 0.0, 1.0))
    rows, y = np.round(np.concatenate(parts), 5), np.round(np.concatenate(labels), 5)
    if not 0.0 < y.sum() < len(y):
        return None
    return Ranker(recommender, tuple(round(float(w), 4) for w in fit_weights(rows, y)))


def fit_weights(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Fit β to soft labels [n] of features [n, len(FEATURES)]."""

    def compute_loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        score, away = rows @ beta, beta - PRIOR_WEIGHTS
        loss = (np.logaddexp(0.0, score) - labels * score).sum() + away @ away / 2
        return float(loss), rows.T @ (expit(score) - labels) + away

    found: np.ndarray = minimize(compute_loss, PRIOR_WEIGHTS, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return found
