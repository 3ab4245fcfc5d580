"""Mask identifiers in text: first those that records name, then patterns (Presidio's, dates, numbers).

Known misses: a person or place that no resource names, a nickname, a misspelt name.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

from pipelines.records.deidentify.identifier_index import IdentifierIndex
from pipelines.records.deidentify.identifiers import CJK, CLINIC, MAX_WORDS, WORD, WORDS, extract_digits
from pipelines.records.deidentify.pii_patterns import NUMBER, mask_patterns

_MASK = "[name]"
_MASKS = re.compile(r"\[name\](?:\s+\[name\])+")
#: Everyday English words that are also names: masked only where they are written as names.
_COMMON = """
    a an in is it be do go he me my no of on or so to up us we am as at by if
    all and any are art ash bay bell berry best bird black bliss blue bond bright brook brown bush cash chance chase
    christmas church clay close cook cross daisy dale day dean dear dawn drew early east easter fair faith field fine
    fish fisher flower fox frank free friend gale gene glad gold good grace grant gray green grey guy hall hand harm
    hay hazel heath heather hill hope hunt iris ivy jade jewel job joy june july august april may march just key kind
    king knight lake lane law lily little long love low lucky man mark marsh mercy mike mile mill miller moon moss
    north page park past patience peace pearl penny piper poppy pope porter power price pride prince queen rain ray
    reed rich ring rice river rob rock rose ruby rush sage sand sharp short sky small smart snow south spring star
    sterling stone storm strong summer sun sweet teal temple tide trinity true van vale violet wade walker wall ward
    water way weeks week well wells west white will win winter wise wolf wood woods worth young
"""
_COMMON_WORDS = frozenset(_COMMON.split())


@dataclass(frozen=True, slots=True)
class _TextRun:
    """A run of words, or of Chinese characters, in a text.

    ``plain`` marks an everyday word used as one, though it is also a name.
    """

    start: int
    end: int
    hash: int
    single: bool
    plain: bool


class Scrubber:
    """Masks the indexed identifiers of a patient and the clinic, then identifiers by pattern."""

    def __init__(self, index: IdentifierIndex) -> None:
        self._index = index
        self._runs = lru_cache(maxsize=1 << 12)(self._find_runs)

    def scrub_message(self, text: str, subject: int) -> str:
        """Mask the identifiers in a message of or to a patient."""
        return mask_patterns(self._mask(text, subject, clinic_words=True))

    def scrub_display(self, text: str, subject: int, local: bool) -> str:
        """Mask the identifiers in the display of a code.

        A public terminology's display (not ``local``) keeps eponyms, and numbers that only look like identifiers.
        """
        masked = self._mask(text, subject, clinic_words=local)
        return mask_patterns(masked) if local else masked

    def has_identifier(self, text: str, subject: int) -> bool:
        """Whether a code or unit has an identifier of the patient or the clinic."""
        return self._mask(text, subject, clinic_words=True) != text

    def _mask(self, text: str, subject: int, clinic_words: bool) -> str:
        own, clinic = self._index.find_hashes(subject), self._index.find_hashes(CLINIC)
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
            return not (run.single and run.plain and run.hash in self._index.name_words)
        return run.hash in clinic and not (run.single and (run.plain or not clinic_words))

    def _find_runs(self, text: str) -> tuple[tuple[_TextRun, ...], frozenset[int]]:
        runs = (*self._find_word_runs(text), *self._find_number_runs(text))
        return runs, frozenset(r.hash for r in runs)

    def _find_word_runs(self, text: str) -> list[_TextRun]:
        tokens = [(m.start(), m.end(), m.group().casefold().replace("’", "'")) for m in WORD.finditer(text)]
        runs = []
        for i, (start, end, word) in enumerate(tokens):
            if CJK.match(word):
                for size in (2, 3, 4):
                    for at in range(start, end - size + 1):
                        value = self._index.hash_phrase((text[at : at + size],))
                        runs.append(_TextRun(at, at + size, value, single=True, plain=False))
                continue
            for size in range(1, self._count_known(tokens[i : i + MAX_WORDS]) + 1):
                phrase = tuple(t[2] for t in tokens[i : i + size])
                plain = size == 1 and word.removesuffix("'s") in _COMMON_WORDS and _is_everyday_use(text, start)
                value = self._index.hash_phrase(phrase)
                runs.append(_TextRun(start, tokens[i + size - 1][1], value, size == 1, plain))
            if word.endswith("'s"):
                value = self._index.hash_phrase((word[:-2],))
                plain = word[:-2] in _COMMON_WORDS and _is_everyday_use(text, start)
                runs.append(_TextRun(start, end - 2, value, single=True, plain=plain))
        return runs

    def _count_known(self, tokens: list[tuple[int, int, str]]) -> int:
        """The number of leading words that occur in identifiers: no longer run can be one."""
        known = self._index.find_hashes(WORDS)
        unknown = (i for i, token in enumerate(tokens) if self._index.hash_phrase((token[2],)) not in known)
        return next(unknown, len(tokens))

    def _find_number_runs(self, text: str) -> list[_TextRun]:
        runs = []
        for match in NUMBER.finditer(text):
            number = extract_digits(match.group())
            for value in {number, number[-10:]}:
                hashed = self._index.hash_phrase((value,))
                runs.append(_TextRun(match.start(), match.end(), hashed, single=False, plain=False))
        return runs


def _is_everyday_use(text: str, start: int) -> bool:
    """Whether an everyday word is used as one: in lower case, or opening a sentence."""
    before = text[:start].rstrip()
    return text[start].islower() or not before or before[-1] in ".!?;:\n"


def _select_outermost(runs: list[_TextRun]) -> list[_TextRun]:
    """The longest runs; what overlaps a longer one is dropped."""
    selected: list[_TextRun] = []
    for run in sorted(runs, key=lambda r: (r.start - r.end, r.start)):
        if all(run.end <= k.start or run.start >= k.end for k in selected):
            selected.append(run)
    return selected
