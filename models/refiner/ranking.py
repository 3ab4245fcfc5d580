"""The first champion: the initial ranking, cut to the policy's caps. No learning, no reading."""

from __future__ import annotations

from models.refiner.interface import Caps
from models.schema import EditProgram, Segment


class Ranking:
    """Keep the head of the initial ranking, as much of it as the caps allow."""

    id = "ranking"

    def __init__(self, caps: Caps) -> None:
        self.caps = caps

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        return EditProgram(picks=tuple(s.key for s in self.caps.fit(segments)))
