"""Rates of facts in replies to like questions, of like women or any.

    r(q, f | u) = (Σ_j w_j v_j y_jf + a r(q, f)) / (Σ_j w_j v_j n_jf + a)        peers: like women's replies
    r(q, f)     = (Σ_j w_j y_jf + a r(f)) / (Σ_j w_j n_jf + a)                   any women's replies to like questions
    w_j = exp((cos(q, q_j) − 1) / 0.05),   v_j = exp((cos(u, u_j) − 1) / 0.2)

j are replies to other women in the training split, y_jf how probably reply j takes fact f up (``models.replies``), n_jf
whether f was known there. u describes a woman by her conditions, medicines and age. A rate of like questions stands for
at least k women, else the next coarser one counts. It is the measure's own recommender, so that only v differs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.encoder import Encoder
from models.replies.alignment import align_replies
from models.schema import Episode

QUESTION_WIDTH, WOMAN_WIDTH = 0.05, 0.2
NEAR = 0.6
SHRINKAGE = 4.0
YEARS = 10.0  # an age difference that weighs like one condition
_AGE = re.compile(r"^Age (\d+)")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class PeerRates:
    """Training replies: questions and women [replies, …], facts seen and taken up [replies, facts]."""

    k: int
    facts: Mapping[str, int]
    traits: Mapping[str, int]
    questions: Array
    women: Array
    subjects: NDArray[np.int64]
    seen: Array
    taken: Array

    def rate(self, question: Array, episode: Episode, woman: Array | None) -> dict[str, float]:
        """Rate each free fact of an episode; ``woman`` None: any women."""
        others = self.subjects != episode.subject_id
        near = np.round(self.questions @ question, 5)
        weight = np.exp((near - 1) / QUESTION_WIDTH) * others
        donors = self._count_donors((near >= NEAR) & others)
        overall = (self.taken[others].sum(0) + 1) / (self.seen[others].sum(0) + 2)
        rates = self._shrink(weight, overall, donors)
        if woman is not None:
            similarity = np.exp((np.round(self.women @ woman, 5) - 1) / WOMAN_WIDTH)
            rates = self._shrink(weight * similarity, rates, donors)
        unknown = float(overall.mean()) if len(overall) else 0.0
        return {s.key: float(rates[self.facts[s.key]]) if s.key in self.facts else unknown for s in episode.free}

    def _shrink(self, weight: Array, prior: Array, donors: NDArray[np.int64]) -> Array:
        found = (weight @ self.taken + SHRINKAGE * prior) / (weight @ self.seen + SHRINKAGE)
        return np.asarray(np.where(donors >= self.k, found, prior))

    def _count_donors(self, like: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Count the women of like questions that have each fact."""
        rows = np.flatnonzero(like)
        _, woman = np.unique(self.subjects[rows], return_inverse=True)
        known = np.zeros((int(woman.max(initial=-1)) + 1, self.seen.shape[1]))
        np.maximum.at(known, woman, self.seen[rows])
        return known.sum(0).astype(np.int64)


def fit_peer_rates(train: Sequence[Episode], encoder: Encoder, k: int) -> PeerRates | None:
    """Collect the training replies; None where there is none."""
    if not train:
        return None
    aligned = align_replies(train, encoder).replies
    facts = {key: i for i, key in enumerate(sorted({s.key for e in train for s in e.free}))}
    traits = {key: i for i, key in enumerate(sorted({key for e in train for key in read_traits(e)}))}
    seen, taken = np.zeros((len(train), len(facts))), np.zeros((len(train), len(facts)))
    for row, (e, reply) in enumerate(zip(train, aligned, strict=True)):
        columns = [facts[s.key] for s in e.free]
        seen[row, columns] = 1.0
        taken[row, columns] = reply.uptake
    return PeerRates(
        k,
        facts,
        traits,
        np.asarray(encoder.encode([e.question for e in train]), dtype=np.float64),
        np.array([describe_patient(e, traits) for e in train]),
        np.array([e.subject_id for e in train], dtype=np.int64),
        seen,
        taken,
    )


def read_traits(episode: Episode) -> set[str]:
    """Read the conditions and medicines of a record, by key."""
    return {s.key for s in episode.free if s.key.startswith(("condition.", "medicine.", "history."))}


def describe_patient(episode: Episode, traits: Mapping[str, int]) -> Array:
    """Describe a woman as a unit vector of conditions, medicines and age."""
    vector = np.zeros(len(traits) + 2)
    for key in read_traits(episode) & traits.keys():
        vector[traits[key]] = 1.0
    stated = next((_AGE.search(s.text) for s in episode.segments if s.key == "age"), None)
    vector[-2] = (int(stated[1]) - 30) / YEARS if stated else 0.0
    vector[-1] = 1.0  # so that two women of whom nothing is known are similar
    return np.asarray(vector / np.linalg.norm(vector))
