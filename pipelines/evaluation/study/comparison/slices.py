"""Slices of episodes by what their pinned and free segments say: whom does refinement serve, and whom not?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from models.schema import Episode

_WEEK = re.compile(r"(\d+) weeks?")
_YEARS = re.compile(r"(\d+) years? old")
_CHINESE = re.compile("[\u4e00-\u9fff]")


def read_trimester(episode: Episode) -> str:
    """Trimester by the gestational week that the pinned fact states; ``undated`` or ``not_pregnant`` without one."""
    said = next((s.text for s in episode.pinned if s.key == "pregnancy"), "")
    if "pregnant" not in said.lower() or "not pregnant" in said.lower() or "no pregnancy" in said.lower():
        return "not_pregnant"
    week = _WEEK.search(said)
    if week is None:
        return "undated"
    return "first" if int(week[1]) < 14 else "second" if int(week[1]) < 28 else "third"


def read_record_length(episode: Episode) -> str:
    """How much there is to choose from."""
    return "short" if len(episode.free) < 24 else "long"


def read_age_band(episode: Episode) -> str:
    """Her age in bands, by the sentence that states it; ``unknown`` where none does."""
    said = next((_YEARS.search(s.text) for s in episode.free if s.key == "age"), None)
    years = int(said[1]) if said else None
    return "unknown" if years is None else "under_25" if years < 25 else "25_to_34" if years < 35 else "35_and_over"


def read_language(episode: Episode) -> str:
    """The language of her question, by its script: episodes in others than English are not scored."""
    return "zh" if _CHINESE.search(episode.question) else "en"


#: Kinds of slice by name.
SLICES: Mapping[str, Callable[[Episode], str]] = {
    "age": read_age_band, "trimester": read_trimester, "record": read_record_length, "language": read_language,
}  # fmt: skip
