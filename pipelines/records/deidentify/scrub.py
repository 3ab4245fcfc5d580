"""Take identifiers out of text: first those the record itself holds, then patterns (Presidio's, dates, numbers).

Known misses: a person or place that no resource names, a nickname, a misspelt name.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

from pipelines.records.deidentify.identifier_index import IdentifierIndex
from pipelines.records.deidentify.identifiers import CJK, CLINIC, MAX_WORDS, WORD, WORDS
from pipelines.records.deidentify.pii_patterns import NUMBER, mask_patterns
from pipelines.records.deidentify.stopwords import COMMON_WORDS

_MASK = "[name]"
_MASKS = re.compile(r"\[name\](?:\s+\[name\])+")


@dataclass(frozen=True, slots=True)
class _TextRun:
    """A run of words (or characters of Chinese) in a text that an identifier may equal."""

    start: int
    end: int
    hash: int
    single: bool
    plain: bool
    """Whether it is an everyday word used as one, though some people are called so."""


class Scrubber:
    """Masks what ``names`` knows of one patient and of the clinic, then what looks like an identifier."""

    def __init__(self, names: IdentifierIndex) -> None:
        self._names = names
        self._runs = lru_cache(maxsize=1 << 12)(self._find_runs)

    def message(self, text: str, subject: int) -> str:
        """A free text of or to a patient."""
        return mask_patterns(self._mask(text, subject, clinic_words=True))

    def display(self, text: str, subject: int, local: bool) -> str:
        """The display of a code. One of a public terminology keeps eponyms, and numbers that look like others."""
        masked = self._mask(text, subject, clinic_words=local)
        return mask_patterns(masked) if local else masked

    def names_someone(self, text: str, subject: int) -> bool:
        """Whether a code or unit, which should name nobody, holds an identifier of the patient or the clinic."""
        return self._mask(text, subject, clinic_words=True) != text

    def _mask(self, text: str, subject: int, clinic_words: bool) -> str:
        own, clinic = self._names.held(subject), self._names.held(CLINIC)
        runs, hashes = self._runs(text)
        if hashes.isdisjoint(own) and hashes.isdisjoint(clinic):
            return text
        hits = [r for r in runs if self._is_identifier(r, own, clinic, clinic_words)]
        for run in sorted(_select_outermost(hits), key=lambda r: -r.start):
            text = text[: run.start] + _MASK + text[run.end :]
        return _MASKS.sub(_MASK, text)

    def _is_identifier(self, run: _TextRun, own: AbstractSet[int], clinic: AbstractSet[int],
                       clinic_words: bool) -> bool:  # fmt: skip
        if run.hash in own:
            return not (run.single and run.plain and run.hash in self._names.person)
        return run.hash in clinic and not (run.single and (run.plain or not clinic_words))

    def _find_runs(self, text: str) -> tuple[tuple[_TextRun, ...], frozenset[int]]:
        found = [*self._word_runs(text), *self._number_runs(text)]
        return tuple(found), frozenset(r.hash for r in found)

    def _word_runs(self, text: str) -> list[_TextRun]:
        tokens = [(m.start(), m.end(), m.group().casefold().replace("’", "'")) for m in WORD.finditer(text)]
        found = []
        for i, (start, end, word) in enumerate(tokens):
            if CJK.match(word):
                for size in (2, 3, 4):
                    for at in range(start, end - size + 1):
                        value = self._names.hash_of((text[at : at + size],))
                        found.append(_TextRun(at, at + size, value, single=True, plain=False))
                continue
            for size in range(1, self._longest(tokens[i : i + MAX_WORDS]) + 1):
                phrase = tuple(t[2] for t in tokens[i : i + size])
                plain = size == 1 and word.removesuffix("'s") in COMMON_WORDS and _is_everyday_use(text, start)
                found.append(_TextRun(start, tokens[i + size - 1][1], self._names.hash_of(phrase), size == 1, plain))
            if word.endswith("'s"):
                value = self._names.hash_of((word[:-2],))
                plain = word[:-2] in COMMON_WORDS and _is_everyday_use(text, start)
                found.append(_TextRun(start, end - 2, value, single=True, plain=plain))
        return found

    def _longest(self, tokens: list[tuple[int, int, str]]) -> int:
        """How many words from here on occur in identifiers at all: no longer run can be one."""
        known = self._names.held(WORDS)
        return next((i for i, token in enumerate(tokens) if self._names.hash_of((token[2],)) not in known), len(tokens))

    def _number_runs(self, text: str) -> list[_TextRun]:
        found = []
        for match in NUMBER.finditer(text):
            number = "".join(c for c in match.group() if c.isdecimal())
            for value in {number, number[-10:]}:
                run = _TextRun(match.start(), match.end(), self._names.hash_of((value,)), single=False, plain=False)
                found.append(run)
        return found


def _is_everyday_use(text: str, start: int) -> bool:
    """Whether a word that is a name as well as an everyday word is used as the latter: small, or opening a sentence."""
    before = text[:start].rstrip()
    return text[start].islower() or not before or before[-1] in ".!?;:\n"


def _select_outermost(runs: list[_TextRun]) -> list[_TextRun]:
    """Longest runs first; what overlaps a longer one is dropped."""
    kept: list[_TextRun] = []
    for run in sorted(runs, key=lambda r: (r.start - r.end, r.start)):
        if all(run.end <= k.start or run.start >= k.end for k in kept):
            kept.append(run)
    return kept
