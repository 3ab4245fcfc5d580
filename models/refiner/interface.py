"""The one method a refiner has, and the caps every refiner is held to.

METHOD's ``a ~ π(a | q, S)``: given the question and the candidate segments, an edit program. Rules, baselines
and the trained policy share it, so that each can be champion, be evaluated and be served in another's place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from models.schema import EditProgram, Segment

STYLES = ("plain", "brief", "detailed")


@dataclass(frozen=True, slots=True)
class Caps:
    """How much a refined prompt may hold beside the pinned facts: free segments, and their tokens together."""

    picks: int = 4
    tokens: int = 60

    def fit(self, ordered: Iterable[Segment]) -> tuple[Segment, ...]:
        """The free segments of ``ordered`` that fit, taken greedily in order; one that is too long is passed over."""
        kept: list[Segment] = []
        left = self.tokens
        for segment in ordered:
            if len(kept) == self.picks:
                break
            if not segment.pinned and segment.tokens <= left:
                kept.append(segment)
                left -= segment.tokens
        return tuple(kept)


class Refiner(Protocol):
    """Anything that refines a prompt.

    Invariants: ``picks`` of the answer are distinct keys of *free* segments among ``segments`` (pinned ones are in
    the prompt whatever a refiner says), in order of priority; within the caps the refiner was made with; ``style``
    is one of ``STYLES``. Equal arguments give equal answers. Any ``segments`` is accepted, none included; nothing
    is raised for a question of any wording.
    """

    id: str

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        """The edit program for this question over these candidates (in the initial prompt's order)."""
        ...
