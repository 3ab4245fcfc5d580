"""Rank the candidate segments into the initial prompt.

    score(s) = cos(e(q), e(s)) + κ(kind) + ρ·2^(−age/90 d) + χ·min(|z|, 3)/3 + π·min(|lift|, 1)

The paper's recommender makes "initial personalised prompts"; its scoring is not known. Ours is this fixed sum of self
signals (recency, distance from the patient's own band), peer signals (how much peers with the fact differ) and
similarity to the question, with ties broken by key.

Run: ``pmlm ask``, ``pmlm refine``.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.encoder import Encoder
from models.prompt.sentences.pinned import PINNED_KEYS
from models.schema import Segment, SegmentKind

#: κ: what a fact's kind is worth at equal likeness. A change, a preference and peers are scarcer news than an entry.
KIND_WEIGHT: dict[SegmentKind, float] = {
    "pinned": 0.0,
    "record": 0.0,
    "change": 0.05,
    "behaviour": -0.05,
    "preference": 0.05,
    "peer": 0.02,
    "prediction": 0.02,
}
RECENCY_WEIGHT, RECENCY_HALF_LIFE = 0.05, 90.0  # ρ, days
CHANGE_WEIGHT = 0.10  # χ
PEER_WEIGHT = 0.05  # π


def sort_pinned(segments: Sequence[Segment]) -> list[Segment]:
    position = {key: i for i, key in enumerate(PINNED_KEYS)}
    return sorted((s for s in segments if s.pinned), key=lambda s: (position.get(s.key, len(position)), s.key))


def score_relevance(similarity: float, segment: Segment) -> float:
    """The initial ranking's score of one free segment, ``similarity`` being its cosine with the question."""
    recency = 0.0 if segment.recency_days is None else 2.0 ** (-segment.recency_days / RECENCY_HALF_LIFE)
    return (
        similarity
        + KIND_WEIGHT[segment.kind]
        + RECENCY_WEIGHT * recency
        + CHANGE_WEIGHT * min(abs(segment.change), 3.0) / 3.0
        + PEER_WEIGHT * min(abs(segment.peer_lift), 1.0)
    )


def rank_segments(question: str, segments: Sequence[Segment], encoder: Encoder) -> tuple[Segment, ...]:
    """Pinned segments in fixed order, then free ones by falling score.

    Of segments with equal keys the first counts.
    """
    unique = list({s.key: s for s in reversed(segments)}.values())
    free = [s for s in unique if not s.pinned]
    vectors = encoder.encode([question, *(s.text for s in free)])
    similarity = vectors[1:] @ vectors[0]
    # rounded, so that the last bits of an embedding never decide between two facts
    scored = [(-round(score_relevance(float(x), s), 4), s.key, s) for x, s in zip(similarity, free, strict=True)]
    return (*sort_pinned(unique), *(s for _, _, s in sorted(scored, key=lambda t: t[:2])))
