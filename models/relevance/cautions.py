"""Find the facts that a prompt must keep for a question, by published guidance.

    required(q, S) = { s free : some c with match(q, c) ≥ 0.75 has a caution that s states as present }

A clinic's replies teach what clinicians write about, and their silence is no evidence that a painkiller suits a kidney
disease. So what the table's ``cautions`` name stays in the refined prompt, and comes first in the initial one, whatever
replies teach: a contraindication of what is asked for, or the finding that explains the complaint. Of a measured signal
it is the latest value where that is low or high; else the change where it left the patient's own band; else the latest
value; of the last year. For a sentence on a change need not say that the value is low. The caps hold: what is named
first goes first. The paper has no counterpart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from models.relevance.concerns import CODE, Concern, find_finding, load_concerns
from models.schema import Segment
from models.templates import LANGUAGES, render_sentence

LEAST_MATCH = 0.75  # a cosine of 0.55 to a wording of the concern, or a word of it
OUTSIDE_BAND = 2.0  # standard deviations of the patient's own values
OLDEST_VALUE_DAYS = 365.0
_LEVELS = frozenset(render_sentence(f"level.{level}", language) for level in ("low", "high") for language in LANGUAGES)


@dataclass(frozen=True, slots=True)
class RequiredFact:
    """A fact that must stay: the segment's place among those given, and where guidance names it."""

    place: int
    source: str


def find_cautions(matches: np.ndarray, segments: Sequence[Segment]) -> list[RequiredFact]:
    """Find the free segments that the question's concerns require, the first named first.

    ``matches`` [concerns] are the question's (``models.relevance.concerns.match_concerns``).
    """
    found: dict[int, RequiredFact] = {}
    for number, concern in enumerate(load_concerns()):
        if matches[number] >= LEAST_MATCH:
            named = [(_find_position(concern, s.key), i) for i, s in enumerate(segments) if _is_statement(s, segments)]
            for position, place in sorted(named):
                if position < len(concern.cautions):
                    found.setdefault(place, RequiredFact(place, concern.source))
    return list(found.values())


def _is_statement(segment: Segment, segments: Sequence[Segment]) -> bool:
    """Whether a segment states a finding as present, and is the one that speaks for its signal."""
    if segment.pinned or segment.key.startswith("no."):
        return False
    signal, _, tail = segment.key.rpartition(".")
    if tail not in ("latest", "change"):
        return True
    if segment.recency_days is not None and segment.recency_days > OLDEST_VALUE_DAYS:
        return False
    by_key = {s.key: s for s in segments}
    latest, change = by_key.get(f"{signal}.latest"), by_key.get(f"{signal}.change")
    moved = change is not None and abs(change.change) >= OUTSIDE_BAND
    return tail == ("change" if moved and not (latest is not None and _states_level(latest.text)) else "latest")


def _states_level(text: str) -> bool:
    """Whether a sentence on a latest value says that it is low or high."""
    return any(part in _LEVELS for part in re.split(r", |，", text))


@lru_cache(maxsize=1 << 14)
def _find_position(concern: Concern, key: str) -> int:
    """The first caution that names a sentence's finding; their number where none does."""
    finding = find_finding(key)
    of_codes = finding.startswith(CODE) and concern.names_finding(finding)
    named = (i for i, caution in enumerate(concern.cautions) if caution == finding or (of_codes and caution == "codes"))
    return next(named, len(concern.cautions))
