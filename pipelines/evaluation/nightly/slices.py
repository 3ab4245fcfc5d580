"""Slice episodes by age, trimester, record length and language, read from their segments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from models.schema import Episode
from models.templates import CHINESE

_WEEK = re.compile(r"(\d+) weeks?")
_YEARS = re.compile(r"^Age (\d+)")


def read_trimester(episode: Episode) -> str:
    """Read the trimester from the pinned gestational week; else ``undated`` or ``not_pregnant`` (or not known)."""
    text = next((s.text for s in episode.pinned if s.key == "pregnancy"), "").lower()
    if "pregnant" not in text or "not pregnant" in text or text.startswith("whether"):
        return "not_pregnant"
    week = _WEEK.search(text) if "not exactly known, between" not in text else None
    if week is None:
        return "undated"
    return "first" if int(week[1]) < 14 else "second" if int(week[1]) < 28 else "third"


def read_record_length(episode: Episode) -> str:
    """Read how many candidate segments there are: ``short`` or ``long``."""
    return "short" if len(episode.free) < 24 else "long"


def read_age_band(episode: Episode) -> str:
    """Read the age band from the sentence that states the age; ``unknown`` without one."""
    stated = next((_YEARS.search(s.text) for s in episode.free if s.key == "age"), None)
    years = int(stated[1]) if stated else None
    return "unknown" if years is None else "under_25" if years < 25 else "25_to_34" if years < 35 else "35_and_over"


def read_language(episode: Episode) -> str:
    """Read the question's language by its script; only English episodes are scored."""
    return "zh" if CHINESE.search(episode.question) else "en"


#: Kinds of slice by name.
SLICES: Mapping[str, Callable[[Episode], str]] = {
    "age": read_age_band, "trimester": read_trimester, "record": read_record_length, "language": read_language,
}  # fmt: skip
