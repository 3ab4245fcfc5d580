"""The Protocol every refiner implements, and the caps that bound its choices.

    a ~ π(a | q, S)      given the question and the candidate segments, an edit program

Rules, baselines and the trained policy share it, so each can be evaluated, become champion and be served.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from models.schema import EditProgram, Segment

STYLES = ("plain", "brief", "detailed")


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits of a refined prompt: number of free segments, and their tokens in total."""

    picks: int = 4
    tokens: int = 60

    def fit(self, ordered: Iterable[Segment]) -> tuple[Segment, ...]:
        """Select free segments greedily in order; skip one that does not fit."""
        selected: list[Segment] = []
        left = self.tokens
        for segment in ordered:
            if len(selected) == self.picks:
                break
            if not segment.pinned and segment.tokens <= left:
                selected.append(segment)
                left -= segment.tokens
        return tuple(selected)


class Refiner(Protocol):
    """Chooses an edit program for a question and its candidates.

    Invariants: ``picks`` are distinct keys of *free* segments among ``segments`` (pinned ones are always in the
    prompt), in order of priority; within the caps the refiner was made with; ``style``
    is one of ``STYLES``. Equal arguments give equal programs. ``segments`` may be empty; no question raises.
    """

    id: str

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        """Return the edit program for this question; candidates come in the initial prompt's order."""
        ...
