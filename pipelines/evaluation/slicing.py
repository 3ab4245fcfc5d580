"""Slices of episodes by what their pinned and free segments say: whom does refinement serve, and whom not?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from models.schema import Episode

_WEEK = re.compile(r"(\d+) weeks?")


def trimester(episode: Episode) -> str:
    """Trimester by the gestational week that the pinned fact states; ``undated`` or ``not_pregnant`` without one."""
    said = next((s.text for s in episode.pinned if s.key == "pregnancy"), "")
    if "pregnant" not in said.lower() or "not pregnant" in said.lower() or "no pregnancy" in said.lower():
        return "not_pregnant"
    week = _WEEK.search(said)
    if week is None:
        return "undated"
    return "first" if int(week[1]) < 14 else "second" if int(week[1]) < 28 else "third"


def record_length(episode: Episode) -> str:
    """How much there is to choose from."""
    return "short" if len(episode.free) < 24 else "long"


#: Kinds of slice by name.
SLICES: Mapping[str, Callable[[Episode], str]] = {"trimester": trimester, "record": record_length}
