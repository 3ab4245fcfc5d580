"""Tie the sentences of one reply to the facts of a record behind them.

    fact(y_j) = argmax_k p(k | y_j)        where p(k | y_j) ≥ 0.5, else none

p is that of ``alignment``, of this reply alone, and each sentence for itself: what many replies teach of rates is not
used, so that the page can show it of one reply. It is cautious: a sentence whose fact is not clear is tied to nothing,
as one is that would suit anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from models.encoder import Encoder
from models.replies.alignment import align_replies
from models.replies.sentences import split_sentences
from models.schema import Episode, Segment

LEAST_PROBABILITY = 0.5


@dataclass(frozen=True, slots=True)
class TiedSentence:
    """A sentence of a reply, and the fact that it rests on; None: on none."""

    text: str
    fact: Segment | None


def tie_sentences(
    question: str, reply: str, segments: Sequence[Segment], as_of: datetime, encoder: Encoder
) -> tuple[TiedSentence, ...]:
    """Tie each sentence of ``reply`` to one of ``segments``; the safety rules are no fact."""
    facts = tuple(s for s in segments if s.key != "safety")
    sentences = split_sentences(reply)
    episode = Episode("reply", 0, as_of, question, facts, sentences)
    (aligned,) = align_replies([episode], encoder, continuation=0.0).replies
    by_key = {s.key: s for s in facts}
    return tuple(
        TiedSentence(text, _choose_fact(aligned.keys, row[:-1], by_key))
        for text, row in zip(sentences, aligned.posterior, strict=True)
    )


def find_nearest(question: str, segments: Sequence[Segment], count: int, encoder: Encoder) -> tuple[str, ...]:
    """The keys of the ``count`` free segments nearest to the question, by the encoder alone."""
    free = [s for s in segments if not s.pinned]
    vectors = encoder.encode([question, *(s.text for s in free)])
    order = np.argsort(-np.round(vectors[1:] @ vectors[0], 5), kind="stable")
    return tuple(free[i].key for i in order[:count])


def _choose_fact(keys: Sequence[str], probabilities: np.ndarray, facts: dict[str, Segment]) -> Segment | None:
    if not len(probabilities) or probabilities.max() < LEAST_PROBABILITY:
        return None
    return facts[keys[int(probabilities.argmax())]]
