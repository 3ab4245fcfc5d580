"""Judge whether an answer is in a language that the check reads: English, Chinese.

    foreign(clause) = letters of another script  or  p(best language) / p(English) ≥ 2 … 100, the more words are known

A naive Bayes model of n-grams (py3langid) compares; known words are those of the encoder, the rules and the tables. Two
words at least are judged, so "Gut." passes alone; what reassures is also looked for in other languages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import yaml

from models.safety.drug_names import load_substances
from models.safety.triage.red_flag_table import load_rule_words, load_word_ranks
from models.templates import TEMPLATES

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_ENDINGS = ("s", "es", "ed", "d", "ing", "ly")
_TOKEN = re.compile(r"`[^`]*`|[^\s`]+")
_ADDRESS = re.compile(r"^`|://.|@.|www\..")
_SENTENCE = re.compile(r"[.!?;:\n\"{}\[\]|*]+")
_CLAUSE = re.compile(r"[,()–—-]+")
_WORD = re.compile(r"(?<![\w])[^\W\d_]{2,}(?![\w])")
#: Three letters of a script that is neither Latin nor Chinese, or two of Japanese.
_OTHER_SCRIPT = re.compile(
    r"[\u0370-\u03ff\u0400-\u052f\u0530-\u05ff\u0600-\u07ff\u0900-\u0dff\u0e00-\u0eff\u0f00-\u10ff\u1100-\u13ff\u1780-\u17ff"
    r"\uac00-\ud7ff]{3,}|[\u3040-\u30ff]{2,}"
)
_HAN = re.compile(r"[\u4e00-\u9fff]")
#: Words of a piece of a long sentence, and of the way to the next piece.
_PIECE, _STEP = 5, 3
#: Different traditional characters in an answer from which on it is not read: the rules are in simplified ones.
MOST_TRADITIONAL = 2


def is_readable(text: str) -> bool:
    """Whether every clause of an answer is in a language that the check reads."""
    if _OTHER_SCRIPT.search(text) or sum(map(_is_traditional, set(_HAN.findall(text)))) >= MOST_TRADITIONAL:
        return False
    return not any(_is_foreign(words) for words in _list_clauses(text))


def _list_clauses(text: str) -> Iterator[list[str]]:
    """The words of each sentence of two or more, of each clause of three or more, and of pieces of long ones."""
    for sentence in _SENTENCE.split(_TOKEN.sub(_blank_address, text)):
        clauses = _CLAUSE.split(sentence)
        for part, least in ((sentence, 2), *((clause, 3) for clause in clauses if len(clauses) > 1)):
            words = [word for word in _WORD.findall(part.lower()) if not _HAN.search(word)]
            if len(words) >= least:
                yield words
            if len(words) > _PIECE + _STEP:
                yield from (words[start : start + _PIECE] for start in range(0, len(words) - _PIECE + 1, _STEP))
                yield words[-_PIECE:]


def _blank_address(token: re.Match[str]) -> str:
    """A space for an address or for code, else the token itself."""
    return " " if _ADDRESS.search(token[0]) else token[0]


def _is_foreign(words: list[str]) -> bool:
    known = sum(map(_is_known, words)) / len(words)
    likelihoods = dict(load_identifier().rank(" ".join(words)))
    ratio = max(likelihoods.values()) / max(likelihoods["en"], 1e-30)
    if known == 1:
        return ratio >= 100
    return ratio >= (2 if known < 0.25 else 4 if known <= 0.5 else 20)


def _is_known(word: str) -> bool:
    words = _load_words()
    return word in words or any(word.endswith(end) and word.removesuffix(end) in words for end in _ENDINGS)


def _is_traditional(character: str) -> bool:
    """Whether a character is of the traditional script alone: in Big5, not in GB 2312."""
    return not _is_in(character, "gb2312") and _is_in(character, "big5")


def _is_in(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


@cache
def _load_table() -> dict[str, list[str]]:
    table: dict[str, list[str]] = yaml.safe_load((TEMPLATES / "answer_language.yaml").read_text("utf-8"))
    return table


@cache
def _load_words() -> frozenset[str]:
    names = " ".join(name for substance, others in load_substances().items() for name in (substance, *others)).lower()
    return (
        frozenset(load_word_ranks())
        | load_rule_words()
        | frozenset(_load_table()["english_words"])
        | frozenset(_WORD.findall(names))
    )


@cache
def load_identifier() -> LanguageIdentifier:
    """The model, loaded once (half a second)."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_load_table()["languages"])
    return identifier
