"""Rank the candidate segments into the initial prompt.

    score(s) = β · φ(s)
    φ(s)     = [1, logit r(q, s), logit about(q, s), own(s), cos(e(q), e(s)), |z|, surprise, relevance(q, s)]

r is how often clinicians took this fact up in replies to like questions of other patients, "about" the same of its
subject matter (``models.peers.recommendation``), own how much oftener earlier replies to this very patient did (log
odds, 0 where there are none), |z| how far the value is from the patient's own band, surprise that of the last visit,
relevance what published guidance names for the question, as present or absent (two features, ``models.relevance``). β
is fitted by logistic regression on the uptake of the training replies (``models.prompt.ranking_fit``), the patient of
each reply left out of its r. Without replies to learn from the score is the cosine + 0.4 · relevance if present,
0.2 if absent. What guidance requires for the question (``models.relevance.cautions``) comes before all of them.

The paper's recommender makes "initial personalised prompts"; its scoring is not known. Ties are broken by key.

Run: ``pmlm ask``, ``pmlm refine``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from models.encoder import Encoder
from models.peers.recommendation import Rates, Recommender, rate_facts
from models.prompt.sentences.pinned import PINNED_KEYS
from models.relevance.cautions import find_cautions
from models.relevance.concerns import compute_relevance, mark_findings, match_concerns
from models.schema import Segment

FEATURES = ("bias", "rate", "about", "own", "nearness", "change", "surprise", "relevant_present", "relevant_absent")
UNLEARNT = (0.4, 0.2)  # what relevance adds to a cosine, by state, where no weights are learnt
OWN_SHRINKAGE = 3.0  # replies
_LEAST = 1e-3  # rates are cut here before their log odds are taken


@dataclass(frozen=True)
class Ranker:
    """What a clinic's replies teach the initial ranking: rates, and weights β in the order of ``FEATURES``."""

    recommender: Recommender
    weights: tuple[float, ...]
    id: str = ""


@dataclass(frozen=True, slots=True)
class Questioner:
    """Who asks, never their own donor, and when: replies to them count from before (None: all that are known)."""

    subject_id: int | None = None
    as_of: datetime | None = None


ANYONE = Questioner()


def sort_pinned(segments: Sequence[Segment]) -> list[Segment]:
    position = {key: i for i, key in enumerate(PINNED_KEYS)}
    return sorted((s for s in segments if s.pinned), key=lambda s: (position.get(s.key, len(position)), s.key))


def build_ranking_features(
    rates: Rates, nearness: np.ndarray, relevance: np.ndarray, free: Sequence[Segment]
) -> np.ndarray:
    """Build φ [segments, len(FEATURES)]."""
    rate = _logit(rates.rate)
    own = _logit((rates.own_taken + OWN_SHRINKAGE * rates.rate) / (rates.own_seen + OWN_SHRINKAGE)) - rate
    return np.column_stack([
        np.ones(len(free)),
        rate,
        _logit(rates.about),
        own,
        nearness,
        [min(abs(s.change), 3.0) / 3.0 for s in free],
        [min(max(s.surprise, 0.0), 8.0) / 8.0 for s in free],
        relevance,
    ])  # fmt: skip


def rank_segments(
    question: str,
    segments: Sequence[Segment],
    encoder: Encoder,
    ranker: Ranker | None = None,
    asker: Questioner = ANYONE,
) -> tuple[Segment, ...]:
    """Pinned segments in fixed order, then required ones, then by falling score, each with its donors.

    Of segments with equal keys the first counts.
    """
    unique = list({s.key: s for s in reversed(segments)}.values())
    free = [s for s in unique if not s.pinned]
    vectors = encoder.encode([question, *(s.text for s in free)])
    nearness = np.asarray(vectors[1:] @ vectors[0], dtype=float)
    matches = match_concerns(question, encoder)
    relevance = compute_relevance(matches, mark_findings([s.key for s in free]))
    required = {caution.place: caution.source for caution in find_cautions(matches, free)}
    order = {place: rank for rank, place in enumerate(required)}
    score = nearness + relevance @ np.array(UNLEARNT)
    donors, shares = [0] * len(free), [0.0] * len(free)
    if ranker is not None and free:
        rates = rate_facts(ranker.recommender, vectors[0], free, asker.subject_id, asker.as_of)
        score = build_ranking_features(rates, nearness, relevance, free) @ np.array(ranker.weights)
        donors, shares = rates.donors.tolist(), rates.share.tolist()
    # rounded, so that the last bits of an embedding never decide between two facts
    ranks = [(order.get(place, len(order)), -round(float(x), 4), free[place].key) for place, x in enumerate(score)]
    ranked = (
        replace(free[i], donors=int(donors[i]), share=shares[i] if donors[i] else None, guidance=required.get(i))
        for i in sorted(range(len(free)), key=ranks.__getitem__)
    )
    return (*sort_pinned(unique), *ranked)


def _logit(rate: np.ndarray) -> np.ndarray:
    cut = np.clip(rate, _LEAST, 1.0 - _LEAST)
    return np.asarray(np.log(cut / (1.0 - cut)))
