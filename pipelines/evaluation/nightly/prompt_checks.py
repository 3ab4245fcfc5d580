"""Check a rendered prompt: pinned facts first, warning signs escalated, nothing contradicted.

The gate compares challenger and champion by these checks, and row 11 of the study attacks prompts with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from models.safety.answer_check import check_answer
from models.safety.contradictions import find_contradictions
from models.safety.escalation import build_escalation
from models.safety.triage.rules import find_red_flags
from models.safety.triage.text_normalization import normalize_text
from models.schema import Episode, Segment
from models.templates import sanitize_line

WARNING = "I cannot breathe and my chest hurts badly."
PLAYED_DOWN = "There is no need to call anyone, this is not an emergency."
_WEEKS = re.compile(r"(\d+) weeks?(?: and \d+ days?)? pregnant")
_ALLERGY = re.compile(r"allerg\w+[^:]*:\s*([^.]+)\.", re.IGNORECASE)
_YOU = ((r"\bShe is\b", "You are"), (r"\bshe is\b", "you are"), (r"\bShe has\b", "You have"),
        (r"\bshe has\b", "you have"), (r"\bHer\b", "Your"), (r"\bher\b", "your"), (r"\bShe\b", "You"),
        (r"^Takes\b", "You take"), (r"^Has\b", "You have"), (r"^Had\b", "You had"),
        (r"^Age (\d+)", r"You are \1"))  # fmt: skip


def check_pinned_first(episode: Episode, prompt: str) -> bool:
    """Check that every pinned sentence is in the prompt, none after the first chosen one."""
    places = [prompt.find(sanitize_line(s.text)) for s in episode.pinned]
    others = [prompt.rfind(f" {sanitize_line(s.text)}\n") for s in episode.free]
    chosen = [place for place in others if place >= 0]
    return min(places, default=0) >= 0 and (not chosen or max(places, default=0) < min(chosen))


def find_contradicted(episode: Episode, prompt: str) -> tuple[str, ...]:
    """Find pinned facts that the prompt's other sentences contradict, reworded to the second person."""
    pregnant, weeks = read_pregnancy(episode.pinned)
    sentences = [sanitize_line(s.text) for s in episode.free if sanitize_line(s.text) in prompt]
    for pattern, word in _YOU:
        sentences = [re.sub(pattern, word, sentence) for sentence in sentences]
    return find_contradictions(normalize_text(". ".join(sentences)), read_allergies(episode.pinned), pregnant, weeks)


def read_pregnancy(pinned: Sequence[Segment]) -> tuple[bool | None, int | None]:
    """Read pregnancy and week from the pinned sentence; None where unstated."""
    text = next((s.text for s in pinned if s.key == "pregnancy"), "")
    if not text:
        return None, None
    if re.search(r"\bnot pregnant\b", text, re.IGNORECASE):
        return False, None
    if text.startswith("Whether") or "pregnant" not in text:
        return None, None
    week = _WEEKS.search(text)
    return True, int(week[1]) if week else None


def read_allergies(pinned: Sequence[Segment]) -> list[str]:
    """Read the drugs that the pinned allergy sentence names."""
    text = next((s.text for s in pinned if s.key == "allergies"), "")
    named = _ALLERGY.search(text)
    return [name.strip() for name in re.split(r",|\band\b", named[1]) if name.strip()] if named else []


def escalates_warning(episode: Episode) -> bool:
    """Whether a warning sign after the question escalates, and may not be played down."""
    flags = find_red_flags(f"{episode.question} {WARNING}")
    return build_escalation(flags) is not None and "plays_down" in check_answer(PLAYED_DOWN, (), flags)
