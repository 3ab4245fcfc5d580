"""What a good prompt is: the reward, term by term, and the port through which any scorer is asked.

    R(p) = mean log p(specific tokens of the clinician's reply | p, q) − price · tokens(free segments)
    and SAFETY_FLOOR where a pinned fact is missing

| term | unit | function |
| --- | --- | --- |
| alignment | nats a token, against the initial prompt | ``alignment`` |
| ownership | nats a token, against another patient's reply | ``ownership`` (a metric: costs twice, noisier) |
| length | nats | ``length`` |
| safety | – | ``whole_reward`` (the floor) |

The paper aligns responses with what physicians recommended to each patient; how it scores them is not known. Ours
needs no generation: the likelihood of the clinician's own reply under a frozen LLM, over those of its sentences that
were written for this patient (``specific_sentences``), with tokens priced so that a fact without effect is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

#: The reward of a prompt that lacks a pinned fact or the escalation: below any likelihood of a sensible reply.
SAFETY_FLOOR = -20.0
NEAREST_QUESTIONS = 20
_PLACEHOLDER = re.compile(r"\[[a-z ]+\]")  # what de-identification leaves of a name, a date or a number
_SALUTATION = re.compile(r"^(?:dear|hello|hi)\b[^,]{0,40},\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trial:
    """One prompt tried on one question and the clinician's reply to it.

    ``specific`` has one flag a reply sentence. ``opening`` is a beginning of ``prompt`` that other trials share: a
    hint for speed that never changes a score.
    """

    prompt: str
    question: str
    reply: tuple[str, ...]
    specific: tuple[bool, ...]
    opening: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """Mean log-probability (nats a token) of the reply given the prompt: over its specific sentences, and over all."""

    specific: float
    all: float


@dataclass(frozen=True, slots=True)
class SentenceScores:
    """Per reply sentence: summed log-probability and tokens. What is cached; any ``specific`` follows from it."""

    sums: tuple[float, ...]
    counts: tuple[int, ...]

    def score(self, specific: Sequence[bool]) -> Score:
        """The two means; over all sentences where none is specific. NaN for an empty reply."""
        chosen = [bool(f) for f in specific] if any(specific) else [True] * len(self.sums)
        return Score(self._mean(chosen), self._mean([True] * len(self.sums)))

    def _mean(self, chosen: Sequence[bool]) -> float:
        count = sum(n for n, c in zip(self.counts, chosen, strict=True) if c)
        total = sum(s for s, c in zip(self.sums, chosen, strict=True) if c)
        return total / count if count else float("nan")


class Scorer(Protocol):
    """Log-probabilities of given replies under a frozen LLM.

    Invariants: one answer a trial, in order; equal trials give equal answers (to 1e-4), whatever they are scored
    beside. ``id`` names model and format and changes whenever a score would.
    """

    id: str

    def sentences(self, trials: Sequence[Trial]) -> list[SentenceScores]:
        """The scores of each reply sentence of each trial."""
        ...


def score(scorer: Scorer, trials: Sequence[Trial]) -> list[Score]:
    """Mean log-probabilities of each trial's reply."""
    return [s.score(t.specific) for s, t in zip(scorer.sentences(trials), trials, strict=True)]


def alignment(refined: Score, initial: Score) -> float:
    """Gain over the initial prompt, nats a specific token."""
    return refined.specific - initial.specific


def ownership(own_reply: Score, other_reply: Score) -> float:
    """How much better her prompt explains her reply than a same-topic reply to another patient, nats a specific
    token."""
    return own_reply.specific - other_reply.specific


def length(tokens: int, price: float) -> float:
    """The price of free segments, in nats (≤ 0)."""
    return -price * tokens


def reward(score: Score, tokens: int, price: float) -> float:
    """Likelihood of the specific sentences less the price of ``tokens`` free tokens; what training and gate compare."""
    return score.specific + length(tokens, price)


def whole_reward(score: Score, tokens: int, price: float, safe: bool) -> float:
    """``reward`` above the safety floor: an unsafe prompt gets the least reward there is, not a discount."""
    return reward(score, tokens, price) if safe else SAFETY_FLOOR


@dataclass(frozen=True)
class ReplyBank:
    """The training split's replies: unit question vectors [n, 384], and the subject and sentences of each."""

    vectors: np.ndarray
    subjects: np.ndarray
    replies: tuple[frozenset[str], ...]

    def nearest(self, question: np.ndarray, subject_id: int, k: int = NEAREST_QUESTIONS) -> list[frozenset[str]]:
        """Replies to the ``k`` nearest questions of other patients, ties broken by position."""
        others = np.flatnonzero(self.subjects != subject_id)
        similarity = np.round(self.vectors[others] @ question, 5)
        return [self.replies[i] for i in others[np.argsort(-similarity, kind="stable")[:k]]]


def unaddressed(sentence: str) -> str:
    """A sentence without salutation and the names taken out of it: empty where it was nothing else."""
    return _PLACEHOLDER.sub("", _SALUTATION.sub("", sentence)).strip(" ,.")


def specific_sentences(
    reply: Sequence[str], question: np.ndarray, subject_id: int, bank: ReplyBank
) -> tuple[bool, ...]:
    """Which sentences of a reply were written for this patient.

    A sentence is general if it is nothing but a name, or occurs verbatim (a salutation aside) in at least half of the
    replies to the ``NEAREST_QUESTIONS`` nearest training questions (``question`` is a unit vector) of other patients;
    the rest is specific, and all of it where none is or the bank holds no other patient.
    """
    neighbours = [frozenset(map(unaddressed, other)) for other in bank.nearest(question, subject_id)]
    said = [unaddressed(sentence) for sentence in reply]
    flags = tuple(
        bool(s) and (2 * sum(s in other for other in neighbours) < len(neighbours) or not neighbours) for s in said
    )
    return flags if any(flags) else (True,) * len(reply)
