"""Sentences without their numbers, and clusters of those that say the same.

    m(y) = y with "#" for each number        c(y) = the first cluster whose seed is within cos ≥ .82 of m(y) and has the
                                                    same signature

The signature is what similarity of meaning does not tell apart and a clinician must: a negation, a direction (low,
high, normal), starting or stopping, and every drug that is named. So "is low" and "is fine" never make one cluster. The
paper does not speak of drafts.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from models.encoder import Encoder
from models.safety.drug_names import load_substances, mentions_drug
from models.safety.triage.text_normalization import normalize_text

SAME_SENTENCE = 0.82
BLANK = "#"
#: A number that stands alone: not the 9 of "PHQ-9", nor the 12 of "B12". A pressure is one number.
NUMBER = re.compile(r"(?<![\w.\-/])\d+(?:\.\d+)?(?:/\d+(?:\.\d+)?)?")
#: What de-identification leaves of a name, a date or a number.
_PLACEHOLDER = re.compile(r"\[[a-z ]+\]", re.IGNORECASE)
_DIRECTIONS = {
    "not": "no not never without none cannot nor neither n't isn't don't doesn't won't can't nothing",
    "down": "low lower fell fall falls fallen dropped drop drops decreased decrease below reduced less fewer",
    "up": "high higher rose rise rises risen raised increased increase above elevated more",
    "usual": "fine normal usual healthy steady stable good well",
    "stop": "stop stopped stopping avoid instead replace switch change",
    "start": "start begin started starting add",
    "continue": "continue keep still already",
    "allergy": "allergic allergy allergies",
    "past": "had former formerly previous previously once",
}
_DIRECTION_OF = {word: name for name, words in _DIRECTIONS.items() for word in words.split()}


def mask_numbers(sentence: str) -> str:
    """Replace each number of a sentence that stands alone by ``BLANK``."""
    return NUMBER.sub(BLANK, sentence)


def fill_blanks(masked: str, numbers: Sequence[str]) -> str:
    """Put one number into each blank, in order; ``ValueError`` where their counts differ."""
    parts = masked.split(BLANK)
    if len(parts) != len(numbers) + 1:
        raise ValueError("a number for each blank, and a blank for each number")
    return parts[0] + "".join(number + part for number, part in zip(numbers, parts[1:], strict=True))


def names_somebody(sentence: str) -> bool:
    """Whether de-identification has left a placeholder in the sentence."""
    return _PLACEHOLDER.search(sentence) is not None


def name_wording(masked: str) -> str:
    """Name a masked sentence, the same on every night."""
    return hashlib.sha256(masked.encode()).hexdigest()[:12]


@lru_cache(maxsize=50_000)
def read_signature(masked: str) -> frozenset[str]:
    """Read what must be equal in sentences of one cluster: negation, direction, drugs."""
    words = re.findall(r"[a-z']+", masked.lower().replace("’", "'"))
    found = {_DIRECTION_OF[word] for word in words if word in _DIRECTION_OF}
    found |= {"not"} if any(word.endswith("n't") for word in words) else set()
    return frozenset(found | {f"drug:{name}" for name in find_substances(masked)})


@lru_cache(maxsize=50_000)
def find_substances(text: str) -> frozenset[str]:
    """Find the substances that a text names, by any of their names."""
    plain = normalize_text(text)
    return frozenset(name for name, others in load_substances().items() if mentions_drug(plain, (name, *others)))


class WordingClusters:
    """Greedy clusters of masked sentences: the commonest wordings are the seeds."""

    def __init__(self, encoder: Encoder, same: float = SAME_SENTENCE) -> None:
        self._encoder = encoder
        self._same = same
        self._seeds: list[np.ndarray] = []
        self._signatures: list[frozenset[str]] = []
        self._of: dict[str, int] = {}

    def fit(self, masked: Sequence[str]) -> list[int]:
        """Cluster the sentences; return each one's cluster."""
        counts = Counter(masked)
        ordered = sorted(counts, key=lambda text: (-counts[text], text))
        for text, vector in zip(ordered, self._encoder.encode(ordered), strict=True):
            found = self._search(text, vector)
            if found is None:
                found = len(self._seeds)
                self._seeds.append(vector)
                self._signatures.append(read_signature(text))
            self._of[text] = found
        return [self._of[text] for text in masked]

    def find(self, masked: str) -> int | None:
        """Find the cluster of a sentence that was perhaps never seen; None for none."""
        if masked in self._of:
            return self._of[masked]
        return self._search(masked, self._encoder.encode([masked])[0])

    def _search(self, masked: str, vector: np.ndarray) -> int | None:
        if not self._seeds:
            return None
        near = np.round(np.stack(self._seeds) @ vector, 5)
        signature = read_signature(masked)
        for place in np.argsort(-near, kind="stable"):
            if near[place] < self._same:
                return None
            if self._signatures[place] == signature:
                return int(place)
        return None


def count_words_by_patient(sentences: Mapping[str, set[int]]) -> dict[str, set[int]]:
    """Count, for each word, the patients to whom a sentence with it was written."""
    found: dict[str, set[int]] = {}
    for masked, patients in sentences.items():
        for word in split_words(masked):
            found.setdefault(word, set()).update(patients)
    return found


def split_words(text: str) -> frozenset[str]:
    """Split a text into its words of letters, lower case."""
    return frozenset(re.findall(r"[a-z]+", text.lower()))
