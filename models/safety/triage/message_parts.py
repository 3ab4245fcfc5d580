"""Find the red flags of a message in several parts, each alone and all joined.

Whoever writes "my baby has" and "not moved today" in two messages has told one sign. Joining adds flags, never takes
one away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models.encoder import Encoder
from models.safety.triage.red_flag_table import Flag
from models.safety.triage.rules import TriageContext, find_red_flags

#: So many of the newest parts are also read alone; joined by lines, every part is.
MOST_ALONE = 16


def list_readings(parts: Sequence[str]) -> list[str]:
    """The texts to be triaged for a message in parts, each once."""
    return list(dict.fromkeys(("\n".join(parts), " ".join(parts), "".join(parts), *parts[-MOST_ALONE:])))


def find_flags_of_readings(
    readings: Sequence[str], language: str = "en", context: TriageContext | None = None, encoder: Encoder | None = None
) -> tuple[Flag, ...]:
    """Find the red flags of every reading of a message."""
    return merge_flags(*(find_red_flags(text, language, context, encoder) for text in readings))


def merge_flags(*groups: Iterable[Flag]) -> tuple[Flag, ...]:
    """One flag per sign, the gravest of each, gravest first."""
    found: dict[str, Flag] = {}
    for flag in (flag for group in groups for flag in group):
        if flag.sign not in found or flag.label == "emergency":
            found[flag.sign] = flag
    return tuple(sorted(found.values(), key=lambda flag: (flag.label != "emergency", flag.sign)))
