"""Refiners without learning: the initial ranking, no segment, all, random, nearest to the question.

``RankingRefiner`` is a clinic's first champion; the others are yardsticks of the evaluation.
"""

from __future__ import annotations

import hashlib

import numpy as np

from models.encoder import Encoder
from models.refiner.interface import Caps
from models.schema import EditProgram, Segment


class RankingRefiner:
    """Select the head of the initial ranking, cut to the caps."""

    id = "ranking"

    def __init__(self, caps: Caps) -> None:
        self.caps = caps

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        return EditProgram(picks=tuple(s.key for s in self.caps.fit(segments)))


class EmptyRefiner:
    """Pinned facts only."""

    id = "none"

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        return EditProgram(picks=())


class FullRefiner:
    """Every free candidate: the initial prompt itself. Ignores caps, so it is never served."""

    id = "initial"

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        return EditProgram(picks=tuple(s.key for s in segments if not s.pinned))


class RandomRefiner:
    """Random segments within the caps, seeded by question and candidates."""

    id = "random"

    def __init__(self, caps: Caps, seed: int = 0) -> None:
        self.caps = caps
        self.seed = seed

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        text = "\x1f".join([str(self.seed), question, *(s.text for s in segments)])
        seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
        order = np.random.default_rng(seed).permutation(len(segments))
        return EditProgram(picks=tuple(s.key for s in self.caps.fit(segments[i] for i in order)))


class NearestRefiner:
    """Segments whose embedding is closest to the question's (cosine), within the caps."""

    id = "nearest"

    def __init__(self, caps: Caps, encoder: Encoder) -> None:
        self.caps = caps
        self.encoder = encoder

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        if not segments:
            return EditProgram(picks=())
        vectors = self.encoder.encode([question, *(s.text for s in segments)])
        order = np.argsort(-(vectors[1:] @ vectors[0]), kind="stable")
        return EditProgram(picks=tuple(s.key for s in self.caps.fit(segments[i] for i in order)))
