"""The hard prompt: its initial ranking and its text.

    rank:    score(s) = cos(e(q), e(s)) + κ(kind) + ρ·2^(−age/90 d) + χ·min(|z|, 3)/3 + π·min(|lift|, 1)
    render:  p = T(S_0 ∪ chosen, style), a function of the *set*: order of choice never shows

The paper's recommender makes "initial personalised prompts"; its scoring is not known. Ours is this fixed sum of self
signals (recency, distance from her own band), peer signals (how much peers with the fact differ) and likeness to the
question, with ties broken by key. The text comes from a versioned template. Text common to all prompts of a patient
comes first and chosen facts last, so that a scorer can share the beginning's key-value cache (``render_opening``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from models.encoder import Encoder
from models.prompt.sentences.pinned import PINNED_KEYS
from models.refiner.interface import STYLES
from models.schema import Segment, SegmentKind
from models.templates import ENVIRONMENT, TEMPLATE_VERSION, look_up_label, sanitize_line

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

_KIND_ORDER: tuple[SegmentKind, ...] = ("pinned", "record", "change", "behaviour", "preference", "peer", "prediction")


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
    """Pinned segments in their fixed order, then free ones by falling ``score_relevance``; of equal keys the first is
    kept."""
    unique = list({s.key: s for s in reversed(segments)}.values())
    free = [s for s in unique if not s.pinned]
    vectors = encoder.encode([question, *(s.text for s in free)])
    similarity = vectors[1:] @ vectors[0]
    # rounded, so that the last bits of an embedding never decide between two facts
    scored = [(-round(score_relevance(float(x), s), 4), s.key, s) for x, s in zip(similarity, free, strict=True)]
    return (*sort_pinned(unique), *(s for _, _, s in sorted(scored, key=lambda t: t[:2])))


@cache
def _split_template(language: str) -> tuple[str, str]:
    """The template split where free segments begin; both halves are Jinja2 sources."""
    source, _, _ = ENVIRONMENT.loader.get_source(ENVIRONMENT, f"{language}/{TEMPLATE_VERSION}.txt.j2")  # type: ignore[union-attr]
    before, marker, after = source.partition("{# free segments #}\n")
    if not marker:
        raise ValueError(f"template {language}/{TEMPLATE_VERSION} does not mark where free segments begin")
    return before, after


def _to_lines(segments: Sequence[Segment], language: str) -> list[dict[str, str]]:
    return [{"type": look_up_label("kind", s.kind, s.kind, language), "text": sanitize_line(s.text)} for s in segments]


def render_opening(segments: Sequence[Segment], language: str = "en") -> str:
    """What every rendering of these pinned segments begins with, whichever free ones are chosen."""
    pinned = {s.key: s for s in reversed(segments) if s.pinned}
    safety = pinned.pop("safety", None)
    if safety is None:
        raise ValueError("a prompt without the pinned safety rules is never rendered")
    before, _ = _split_template(language)
    lines = _to_lines(sort_pinned(list(pinned.values())), language)
    return ENVIRONMENT.from_string(before).render(safety=sanitize_line(safety.text), pinned=lines)


def render_prompt(segments: Sequence[Segment], style: str = "plain", language: str = "en") -> str:
    """The prompt of these segments: safety rules, fenced typed facts, one style line. ``style`` is one of ``STYLES``.

    The order of ``segments`` does not matter and of equal keys the first counts. Raises ValueError without the
    pinned ``safety`` segment or for an unknown style.
    """
    if style not in STYLES:
        raise ValueError(f"unknown style {style!r}: one of {', '.join(STYLES)}")
    free = {s.key: s for s in reversed(segments) if not s.pinned}
    ordered = sorted(free.values(), key=lambda s: (_KIND_ORDER.index(s.kind), s.key))
    _, after = _split_template(language)
    return render_opening(segments, language) + ENVIRONMENT.from_string(after).render(
        free=_to_lines(ordered, language), style=look_up_label("style", style, style, language)
    )
