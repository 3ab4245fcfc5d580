"""Pinned sentences: safety rules, pregnancy and gestational age, drug allergies.

The paper does not say what must never be left out of a prompt. A free choice of facts learns to drop allergies (it
costs tokens and seldom moves a likelihood), so no policy can drop these three. They are in every prompt, in this
order.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time
from typing import Any

from models.feature_row import has_record, read_texts
from models.patient.gestational_age import PregnancyState, read_pregnancy_state
from models.schema import FeatureRow, Segment
from models.templates import format_ago, render_sentence, sanitize_record_text

PINNED_KEYS = ("safety", "pregnancy", "allergies")
ALLERGY_LIMIT = 20
#: The kind of an entry of the allergy list that could not be read.
UNREAD = "unread"


def list_allergies(row: FeatureRow, *kinds: str) -> tuple[tuple[str, str], ...]:
    """(name, source) of each allergy of the kinds (``medication``, ``food``, ``environment``, ``other``), once a
    name; an unconfirmed one too."""
    found: dict[str, str] = {}
    names = read_texts(row, "allergy_texts")
    sources = read_texts(row, "allergy_sources") or ("",) * len(names)
    for name, kind, source in zip(names, read_texts(row, "allergy_kinds"), sources, strict=False):
        if kind.rpartition(".")[2] in kinds and sanitize_record_text(name):
            found.setdefault(sanitize_record_text(name), source)
    return tuple(found.items())[:ALLERGY_LIMIT]


def list_drug_allergies(row: FeatureRow) -> tuple[str, ...]:
    """List what no answer may suggest: allergies to medicines or of unknown kind."""
    return tuple(name for name, _ in list_allergies(row, "medication", "other"))


def build_pinned_segments(row: FeatureRow, as_of: datetime, language: str) -> Iterator[Segment]:
    """The three pinned segments, always, whatever the row holds."""
    yield Segment("safety", "pinned", render_sentence("safety", language), pinned=True, sources=("rules:safety",))
    yield _pregnancy(row, as_of, language)
    yield _allergies(row, language)


def _pregnancy(row: FeatureRow, as_of: datetime, language: str) -> Segment:
    state = read_pregnancy_state(row, as_of)
    name, values = _word_pregnancy(state, as_of, language)
    sentence = render_sentence(f"pregnancy.{name}", language, **values)
    return Segment("pregnancy", "pinned", sentence, pinned=True, sources=state.sources or ("record:pregnancy",))


def list_unconfirmed_allergies(row: FeatureRow) -> frozenset[str]:
    """The names of allergies that no entry confirms."""
    kinds: dict[str, set[bool]] = {}
    for name, kind in zip(read_texts(row, "allergy_texts"), read_texts(row, "allergy_kinds"), strict=False):
        kinds.setdefault(sanitize_record_text(name), set()).add("unconfirmed." in kind)
    return frozenset(name for name, found in kinds.items() if found == {True})


def _word_pregnancy(state: PregnancyState, as_of: datetime, language: str) -> tuple[str, dict[str, Any]]:
    """The sentence for a state, and its values: what is not exactly known is said so."""
    if state.pregnant:
        values: dict[str, Any] = {"multiple": state.multiple}
        if state.weeks is not None and state.days is not None:
            return "weeks", values | {"weeks": state.weeks, "days": state.days}
        if state.weeks is not None:
            return "weeks_only", values | {"weeks": state.weeks}
        if state.age is not None:
            return "range", values | {"low": state.age[0] // 7, "high": state.age[1] // 7}
        return "undated", values
    if state.pregnant is None:
        return ("overdue" if state.overdue else "unknown"), {}
    if state.postpartum_weeks is not None:
        return "postpartum", {"weeks": state.postpartum_weeks}
    if state.postpartum is not None:
        return "postpartum_range", {"low": state.postpartum[0], "high": state.postpartum[1]}
    denied = datetime.combine(state.denied or as_of.date(), time(), as_of.tzinfo)
    return "none", {"ago": format_ago(denied, as_of, language)}


def _allergies(row: FeatureRow, language: str) -> Segment:
    found = list_allergies(row, "medication", "other")
    sources = tuple(source for _, source in found if source) or ("record:allergies",)
    unread, unconfirmed = UNREAD in read_texts(row, "allergy_kinds"), list_unconfirmed_allergies(row)
    if found:
        names = [
            render_sentence("allergies.unconfirmed", language, name=name) if name in unconfirmed else name
            for name, _ in found
        ]
        sentence = render_sentence("allergies.drugs", language, names=names)
    elif unread:
        sentence = ""
    else:
        sentence = render_sentence("allergies.none" if has_record(row) else "allergies.unknown", language)
    if unread:  # never "none on record" beside an entry that nobody has read
        sentence = f"{sentence} {render_sentence('allergies.unread', language)}".strip()
    return Segment("allergies", "pinned", sentence, pinned=True, sources=sources)
