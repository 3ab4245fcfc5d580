"""Read the sentences of replies: readable or not, without their numbers, and what they deny.

    cluster(y) = cluster of e(y with its numbers masked), cosine ≥ 0.82        "Your haemoglobin is 98" = "… is 104"

The sentence encoder reads English only, and a sentence of one word names nothing, so neither is read as a statement
about a fact. The sign matters: "you have no asthma" rests on the absence, "asthma makes it risky" on the condition, and
their vectors are nearly equal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.encoder import Encoder
from models.replies.question_kinds import cluster_vectors

SAME_SENTENCE_COSINE = 0.82
FEWEST_WORDS = 2

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]+")
_NEGATION = re.compile(r"\b(?:no|not|never|without|none|nor|neither|free|negative|absent|\w+n['’]t)\b", re.IGNORECASE)
#: What denies the word that follows within three words; "do not take ibuprofen with asthma" denies no asthma.
_DENIAL = r"(?:\bno\b|\bwithout\b|\bnever had\b|(?:\bnot|n['’]t) have\b|\bfree (?:of|from)\b)(?:\W+\w+){0,2}\W+"


_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[<A-Z0-9])|(?<=[。！？])")
_ABBREVIATIONS = ("Dr.", "Mr.", "Mrs.", "Ms.", "e.g.", "i.e.", "approx.", "vs.", "No.")


@dataclass(frozen=True, slots=True)
class SentenceClusters:
    """Clusters of number-masked sentences: the commonest wording of each, the largest count first."""

    wordings: tuple[str, ...]
    of_wording: dict[str, int]

    def find(self, sentence: str) -> int:
        """The cluster of a sentence that was clustered."""
        return self.of_wording[mask_numbers(sentence)]


def split_sentences(text: str) -> tuple[str, ...]:
    """Split an English or Chinese text into sentences; joined with spaces they give it back."""
    found: list[str] = []
    for part in _SENTENCE_END.split(" ".join(text.split())):
        if found and found[-1].endswith(_ABBREVIATIONS):
            found[-1] = f"{found[-1]} {part}"
        elif part:
            found.append(part)
    return tuple(found)


def mask_numbers(text: str) -> str:
    """Replace a sentence's numbers by ``#``."""
    return _NUMBER.sub("#", text)


def find_numbers(text: str) -> frozenset[str]:
    """The distinct numbers in a text, as written."""
    return frozenset(_NUMBER.findall(text))


def is_readable(sentence: str) -> bool:
    """Whether a sentence has at least two words, most of them in Latin letters."""
    words = _WORD.findall(sentence)
    latin = sum(bool(_LATIN.fullmatch(word)) for word in words)
    return len(words) >= FEWEST_WORDS and 2 * latin > len(words)


def cluster_sentences(sentences: Iterable[str], encoder: Encoder) -> SentenceClusters:
    """Cluster sentences without their numbers, the commonest wording first, ties by text."""
    counts = Counter(map(mask_numbers, sentences))
    ordered = sorted(counts, key=lambda wording: (-counts[wording], wording))
    vectors = encoder.encode(ordered)
    found, _ = cluster_vectors(vectors, SAME_SENTENCE_COSINE)
    names: dict[int, str] = {}
    for wording, cluster in zip(ordered, found, strict=True):
        names.setdefault(int(cluster), wording)
    return SentenceClusters(tuple(names.values()), dict(zip(ordered, map(int, found), strict=True)))


def contradicts(sentence: str, key: str) -> bool:
    """Whether a sentence denies the condition that ``key`` states, or states the one that it denies.

    Read off ``condition.X``, ``suspected.X`` and ``no.X``, whose names are words; other keys are never contradicted.
    """
    kind, _, name = key.partition(".")
    if kind not in ("condition", "suspected", "no") or ":" in name:
        return False
    words = [re.escape(word) for word in name.split("_")]
    if kind == "no":
        named = all(re.search(rf"\b{word}", sentence, re.IGNORECASE) for word in words)
        return named and not _NEGATION.search(sentence)
    return re.search(_DENIAL + r"\W+".join(words), sentence, re.IGNORECASE) is not None


def find_contradictions(sentence: str, keys: Sequence[str]) -> np.ndarray:
    """Flag the keys [n] that a sentence contradicts."""
    return np.array([contradicts(sentence, key) for key in keys], bool)
