"""The reward of a prompt, the gain of a segment, and the ``Scorer`` Protocol.

    R(p) = L(p) − price · tokens(free segments),   L(p) = mean log p(specific tokens of the clinician's reply | p, q)
    and SAFETY_FLOOR where a pinned fact is missing (``reward_with_floor``)

    gain(s)   = R(S₀ ∪ {s}) − R(S₀)                                    S₀: the pinned segments, without any free segment
    useful(s) = Δ(s) − median of Δ over free segments − price · tokens(s),   Δ(s) = L(S₀ ∪ {s}) − L(S₀)

The gain of a segment is the difference in reward that it alone makes to the prompt without free segments. ``useful``
is the gain that refiners learn from: any further sentence changes a reply's likelihood a little, whatever it states, so
the median sentence of the episode counts as no gain.

| term | unit | function |
| --- | --- | --- |
| alignment | nats per token, against the initial prompt | ``alignment`` |
| ownership | nats per token, against another patient's reply | ``ownership`` (a metric: costs twice, noisier) |
| length | nats | ``length_term`` |
| safety | – | ``reward_with_floor`` |

Departures from the paper, whose abstract says only that responses are aligned with what physicians recommended:
1. Nothing is generated: the reward is the likelihood of the clinician's own reply under a frozen language model.
2. Only sentences written for this patient count (``find_specific_sentences``).
3. Tokens have a price, so a fact without effect is dropped.

Run: ``pmlm train`` and ``pmlm evaluate`` measure it; ``pmlm refine --explain`` shows it per choice.
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

    ``specific`` has one flag per reply sentence. ``opening`` is a prefix of ``prompt`` that other trials share: a hint
    for speed that never changes a score.
    """

    prompt: str
    question: str
    reply: tuple[str, ...]
    specific: tuple[bool, ...]
    opening: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """Mean log-probability of the reply (nats per token): of specific sentences, of all."""

    specific: float
    all: float


@dataclass(frozen=True, slots=True)
class SentenceScores:
    """Summed log-probability and token count of each reply sentence, as cached."""

    sums: tuple[float, ...]
    counts: tuple[int, ...]

    def score(self, specific: Sequence[bool]) -> Score:
        """Compute both means; NaN for an empty reply, all sentences where none is specific."""
        chosen = [bool(f) for f in specific] if any(specific) else [True] * len(self.sums)
        return Score(self._mean(chosen), self._mean([True] * len(self.sums)))

    def _mean(self, chosen: Sequence[bool]) -> float:
        count = sum(n for n, c in zip(self.counts, chosen, strict=True) if c)
        total = sum(s for s, c in zip(self.sums, chosen, strict=True) if c)
        return total / count if count else float("nan")


class Scorer(Protocol):
    """Log-probabilities of given replies under a frozen LLM.

    Invariants: one result per trial, in order; equal trials give equal scores (to 1e-4) in any batch. ``id``
    names model and format and changes whenever a score would.
    """

    id: str

    def score_sentences(self, trials: Sequence[Trial]) -> list[SentenceScores]:
        """Score each reply sentence of each trial."""
        ...


def score_trials(scorer: Scorer, trials: Sequence[Trial]) -> list[Score]:
    """Score each trial's reply by mean log-probability."""
    return [s.score(t.specific) for s, t in zip(scorer.score_sentences(trials), trials, strict=True)]


def alignment(refined: Score, initial: Score) -> float:
    """Likelihood above the initial prompt's, nats per specific token."""
    return refined.specific - initial.specific


def ownership(own_reply: Score, other_reply: Score) -> float:
    """Likelihood of the own reply above another patient's same-topic reply, nats per specific token."""
    return own_reply.specific - other_reply.specific


def length_term(tokens: int, price: float) -> float:
    """The price of free segments' tokens, nats (≤ 0)."""
    return -price * tokens


def reward(score: Score, tokens: int, price: float) -> float:
    """R without the floor: likelihood of specific sentences less the price of ``tokens``."""
    return score.specific + length_term(tokens, price)


def centre_gains(likelihood_gains: np.ndarray, tokens: np.ndarray, price: float) -> np.ndarray:
    """Compute ``useful`` (nats) of an episode's free segments, [segments], from their Δ and tokens."""
    centred = likelihood_gains - np.median(likelihood_gains) if len(likelihood_gains) else likelihood_gains
    return np.asarray(centred - price * tokens)


def reward_with_floor(score: Score, tokens: int, price: float, safe: bool) -> float:
    """R: ``reward``, or ``SAFETY_FLOOR`` for a prompt that lacks a pinned fact."""
    return reward(score, tokens, price) if safe else SAFETY_FLOOR


@dataclass(frozen=True)
class ReplyBank:
    """Replies of the training split: unit question vectors [n, 384], subjects, sentences."""

    vectors: np.ndarray
    subjects: np.ndarray
    replies: tuple[frozenset[str], ...]

    def nearest(self, question: np.ndarray, subject_id: int, k: int = NEAREST_QUESTIONS) -> list[frozenset[str]]:
        """Find replies to the ``k`` nearest questions of other patients; ties by position."""
        others = np.flatnonzero(self.subjects != subject_id)
        similarity = np.round(self.vectors[others] @ question, 5)
        return [self.replies[i] for i in others[np.argsort(-similarity, kind="stable")[:k]]]


def strip_salutation(sentence: str) -> str:
    """Remove a sentence's salutation and placeholders; empty where nothing remains."""
    return _PLACEHOLDER.sub("", _SALUTATION.sub("", sentence)).strip(" ,.")


def find_specific_sentences(
    reply: Sequence[str], question: np.ndarray, subject_id: int, bank: ReplyBank
) -> tuple[bool, ...]:
    """Flag the reply sentences that were written for this patient.

    A sentence is general if it is nothing but a name, or occurs verbatim (without salutation) in at least half of the
    replies to the ``NEAREST_QUESTIONS`` nearest training questions (``question`` is a unit vector) of other patients;
    the rest is specific, and all of it where none is or the bank holds no other patient.
    """
    neighbours = [frozenset(map(strip_salutation, other)) for other in bank.nearest(question, subject_id)]
    stripped = [strip_salutation(sentence) for sentence in reply]
    flags = tuple(
        bool(s) and (2 * sum(s in other for other in neighbours) < len(neighbours) or not neighbours) for s in stripped
    )
    return flags if any(flags) else (True,) * len(reply)
