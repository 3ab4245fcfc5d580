"""Normalise a message for the rules: case, contractions, misspellings, sentences.

The red-flag rules must read "shes not moved" and "hedache" as a person does. Deterministic, no model. A word is
corrected only towards a word that the rules know, of the same first letter, at one edit (two from eight letters on),
and never if it is listed as a real word of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from rapidfuzz.distance import OSA

_QUOTES = str.maketrans({"’": "'", "‘": "'", "´": "'", "`": "'", "“": '"', "”": '"'})
_CONTRACTIONS = (
    (re.compile(r"\bcan'?t\b|\bcannot\b"), "can not"),
    (re.compile(r"\bwon'?t\b"), "will not"),
    (re.compile(r"\bain'?t\b"), "is not"),
    (re.compile(r"\b(is|are|was|were|has|have|had|do|does|did|could|should|would|need)n'?t\b"), r"\1 not"),
    (re.compile(r"\bi'?m\b"), "i am"),
    (re.compile(r"\b(you|we|they)'re\b"), r"\1 are"),
    (re.compile(r"\b(i|we|you|they)'?ve\b"), r"\1 have"),
    (re.compile(r"\b(he|she|it|that|baby)'s (?=not\b|been\b|stopped\b|gone\b)"), r"\1 has "),
    (re.compile(r"\bshes\b"), "she is"),
    (re.compile(r"\bhes\b"), "he is"),
    (re.compile(r"\b(he|she|it|that|there|what|who|baby|head)'s\b"), r"\1 is"),
    (re.compile(r"\b(i|you|he|she|it|we|they)'ll\b"), r"\1 will"),
    (re.compile(r"\b(i|you|he|she|it|we|they)'d\b"), r"\1 would"),
    (re.compile(r"'s\b"), ""),
    (re.compile(r"\ball right\b"), "alright"),  # "all right now" is no "right now"
)
_SENTENCE = re.compile(r"(?<!\d)[.](?!\d)|(?<=\d)[.](?=\s|$)|[!?;\n。！？；…]+")
_WORD = re.compile(r"[a-z]+")
_MOST_MARKS = 4


def normalize_text(text: str) -> str:
    """Lower case, compatibility forms folded, straight quotes, no hyphens between words, single spaces."""
    folded = unicodedata.normalize("NFKC", _limit_marks(text)).lower().translate(_QUOTES)
    folded = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", folded)
    for pattern, replacement in _CONTRACTIONS:
        folded = pattern.sub(replacement, folded)
    return "\n".join(" ".join(line.split()) for line in folded.splitlines())


def _limit_marks(text: str) -> str:
    """``text`` with at most a few combining marks in a row: putting a long row in order is quadratic."""
    if text.isascii():
        return text
    kept, row = [], 0
    for character in text:
        row = row + 1 if unicodedata.combining(character) else 0
        if row <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def split_sentences(text: str) -> list[str]:
    """The sentences of a normalised text, in order; decimal points do not end one."""
    return [s.strip() for s in _SENTENCE.split(text) if s.strip()]


class Speller:
    """Correct misspelt words towards a lexicon.

    ``words`` are the correction targets. A word that begins with one of ``stems`` or is in ``correct`` stays as it is;
    ``respelled`` maps misspellings that edit distance would not find.
    """

    SHORTEST = 5

    def __init__(
        self, words: frozenset[str], stems: frozenset[str], correct: frozenset[str], respelled: Mapping[str, str]
    ) -> None:
        self._correct = words | correct
        self._stems = tuple(s for s in stems if len(s) >= self.SHORTEST - 1)
        self._respelled = respelled
        self._by_letter: dict[str, list[str]] = {}
        for word in sorted(w for w in words if len(w) >= self.SHORTEST):
            self._by_letter.setdefault(word[0], []).append(word)
        self._mend = lru_cache(maxsize=20_000)(self._nearest)

    def mend(self, text: str) -> str:
        """``text`` (normalised) with each misspelt word of the lexicon mended."""
        return _WORD.sub(lambda m: self._mend(m.group()), text)

    def _nearest(self, word: str) -> str:
        if word in self._respelled:
            return self._respelled[word]
        if word in self._correct or len(word) < self.SHORTEST or word.startswith(self._stems):
            return word
        slips = 1 if len(word) < 8 else 2
        near = [(OSA.distance(word, w, score_cutoff=slips), w) for w in self._by_letter.get(word[0], ())]
        best = min(near, default=(slips + 1, word))
        return best[1] if best[0] <= slips else word
