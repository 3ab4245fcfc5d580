"""Render the hard prompt of pinned and chosen segments.

    p = T(S_0 ∪ chosen, style)        a function of the *set*: the order of choice never shows

The text comes from a versioned template. Text common to all prompts of a patient comes first and chosen facts last, so
that a scorer can share the beginning's key-value cache (``render_opening``).

Run: ``pmlm ask``, ``pmlm refine``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from models.prompt.ranking import sort_pinned
from models.refiner.interface import STYLES
from models.schema import Segment, SegmentKind
from models.templates import ENVIRONMENT, TEMPLATE_VERSION, look_up_label, sanitize_line

_KIND_ORDER: tuple[SegmentKind, ...] = ("pinned", "record", "change", "behaviour", "preference", "peer", "prediction")


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
    """Render the prompt: safety rules, fenced typed facts, one style line.

    ``style`` is one of ``STYLES``. The order of ``segments`` does not matter; of equal keys the first counts.
    Raises ValueError without the pinned ``safety`` segment or for an unknown style.
    """
    if style not in STYLES:
        raise ValueError(f"unknown style {style!r}: one of {', '.join(STYLES)}")
    free = {s.key: s for s in reversed(segments) if not s.pinned}
    ordered = sorted(free.values(), key=lambda s: (_KIND_ORDER.index(s.kind), s.key))
    _, after = _split_template(language)
    return render_opening(segments, language) + ENVIRONMENT.from_string(after).render(
        free=_to_lines(ordered, language), style=look_up_label("style", style, style, language)
    )
