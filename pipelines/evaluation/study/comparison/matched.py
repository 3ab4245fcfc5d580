"""A policy's own order of segments, cut to another refiner's picks and tokens.

So that two refiners differ in what they choose, never in how much.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.refiner.inference import PolicyRefiner, compute_choice_probabilities
from models.refiner.interface import Caps, Refiner
from models.schema import EditProgram, Segment


@dataclass
class MatchedRefiner:
    """``policy`` by the probabilities of its first pick, as many and as long as ``other``."""

    policy: PolicyRefiner
    other: Refiner
    id: str = "matched"

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        wanted = set(self.other.refine(question, segments).picks)
        program = self.policy.refine(question, segments)
        weights = compute_choice_probabilities(self.policy, question, segments, program)
        if weights is None or not weights.steps:
            return program
        first = weights.steps[0]
        ordered = sorted((s for s in segments if s.key in first), key=lambda s: (-round(first[s.key], 9), s.key))
        caps = Caps(len(wanted), sum(s.tokens for s in segments if s.key in wanted))
        return EditProgram(tuple(s.key for s in caps.fit(ordered)), program.style)
