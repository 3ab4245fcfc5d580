"""Fold characters that only look like a letter or digit to that letter or digit.

    fold(w) = the first word of alternatives(w₁) × … × alternatives(wₙ) that is known, else their first choices

Alternatives come from Unicode: compatibility forms (full width, ligatures, mathematical letters), decimal digits of
any script, the confusables of Technical Standard 39 (from the package ``confusable_homoglyphs``), and letters whose
Unicode name is a Latin letter in another dress (small capital, squared, regional indicator). Combining marks, which
also strike letters through, are dropped. A word that stays partly foreign and holds no Latin letter is a word of its
own language and stays. The paper has no counterpart.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from functools import cache, lru_cache
from itertools import islice, product

from confusable_homoglyphs.confusables import confusables_data

#: What a character that shows nothing is replaced by until letters are joined.
HIDDEN = "\u200b"
_MARK = "\u200e"
#: Shown as nothing, though their category is not "format": fillers, the blank braille cell, joiners.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc")
_DRESSED = re.compile(
    r"(?:LATIN (?:CAPITAL|SMALL) LETTER|LATIN LETTER SMALL CAPITAL|MODIFIER LETTER (?:CAPITAL|SMALL)"
    r"|LATIN SUBSCRIPT SMALL LETTER|REGIONAL INDICATOR SYMBOL LETTER|NEGATIVE (?:SQUARED|CIRCLED) LATIN CAPITAL LETTER"
    r"|SQUARED LATIN CAPITAL LETTER) (?:DOTLESS )?([A-Z])(?: WITH .*)?"
)
#: A stretch of one word: no white space, no Chinese character.
_STRETCH = re.compile(r"[^\s\u3400-\u9fff]+")
_KANA = re.compile(r"[\u30a0-\u30ff\u2e80-\u2fdf]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_MOST_TRIED = 256


def fold_look_alikes(text: str, known: Container[str] = frozenset()) -> str:
    """``text`` in lower case with look-alikes as plain letters, hidden characters as ``HIDDEN``, no marks.

    ``known`` words decide where a character looks like two letters (a bar like "l" and "i"). Linear in the text.
    """
    if text.isascii():
        return text.translate(_CONTROLS).lower()
    bare = "".join(map(_drop_invisible, text))
    return _fold_kana(_STRETCH.sub(lambda m: _fold_word(m.group(), known), bare)).lower()


def is_invisible(character: str) -> bool:
    """Whether a character shows nothing: zero width, direction marks, variation selectors, controls."""
    category = unicodedata.category(character)
    return category == "Cf" or character in _BLANK or (category == "Cc" and character not in "\t\n\r\x0b\x0c\x85")


_CONTROLS = {code: HIDDEN for code in range(128) if is_invisible(chr(code))}


@lru_cache(maxsize=20_000)
def _drop_invisible(character: str) -> str:
    if character in _BLANK or "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef":
        return HIDDEN
    if unicodedata.category(character) in ("Mn", "Me"):
        return ""
    return HIDDEN if is_invisible(character) else character


def _fold_word(word: str, known: Container[str]) -> str:
    """One word with its look-alikes as the letters that make it a known word."""
    if word.isascii():
        return word
    choices = [_list_alternatives(c) for c in word]
    first = [options[0] for options in choices]
    if any(options[0].isalpha() and options[0].isascii() for options in choices):
        first = [_prefer_letter(options) for options in choices]
    plain = "".join(first)
    latin = re.search(r"[A-Za-z]", word)
    if not latin and not all(c.isascii() or not c.isalpha() for c in plain):
        return "".join(unicodedata.normalize("NFKC", word))
    if plain.lower().replace(HIDDEN, "") in known:
        return plain
    tried = islice(product(*choices), _MOST_TRIED)
    return next((w for t in tried if (w := "".join(t)).lower().replace(HIDDEN, "") in known), plain)


def _prefer_letter(options: tuple[str, ...]) -> str:
    """In a word of letters a foreign digit that looks like a letter is one."""
    return next((o for o in options if o.isascii() and o.isalpha()), options[0]) if len(options) > 1 else options[0]


@lru_cache(maxsize=20_000)
def _list_alternatives(character: str) -> tuple[str, ...]:
    """What a character may stand for, the likeliest first; itself where it looks like nothing else."""
    if character.isascii() or character == HIDDEN:
        return (character,)
    found: list[str] = []
    decomposed = unicodedata.normalize("NFKD", character)
    bare = "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Me"))
    if bare != character and bare.strip():  # a spacing mark is no blank: "˛" looks like "i"
        found.append(unicodedata.normalize("NFC", bare))
    if unicodedata.category(character) == "Nd":
        found.append(str(unicodedata.digit(character)))
    for source in dict.fromkeys((character, *found)):
        found += [] if source.isascii() and not source.isdigit() else _list_confusable(source)
    dressed = [m[1] for source in (character, *found) if (m := _match_name(source))]
    found += [d if character.isupper() else d.lower() for d in dressed]
    plain = [f for f in found if f.isascii()]
    return tuple(dict.fromkeys(plain or found or [character]))


def _match_name(source: str) -> re.Match[str] | None:
    named = len(source) == 1 and not source.isascii()
    return _DRESSED.fullmatch(unicodedata.name(source, "")) if named else None


@cache
def _load_confusables() -> dict[str, tuple[str, ...]]:
    """Each character's confusables as the standard lists them, without the direction marks around Arabic ones."""
    return {
        character.strip(_MARK): tuple(str(entry["c"]).strip(_MARK) for entry in entries)
        for character, entries in confusables_data.items()
    }


@cache
def _list_confusable(character: str) -> list[str]:
    """The Latin letters that a character is confusable with, those of its own case first."""
    table = _load_confusables()
    near = table.get(character, ())
    listed = dict.fromkeys((*near, *(c for n in near for c in table.get(n, ()))))
    letters = ["m" if c == "rn" else c for c in listed if (c.isalpha() and c.isascii() and len(c) <= 2)]
    letters += [m[1].lower() for c in listed if (m := _match_name(c))] if not letters else []
    letters += ["l", "I"] if {"l", "I"} & set(letters) else []
    return sorted(dict.fromkeys(letters), key=lambda c: c.isupper() != character.isupper())


def _fold_kana(text: str) -> str:
    """Kana and radicals beside Chinese characters that look like one ("胸ロ") as that character."""
    if not _KANA.search(text) or not _HAN.search(text):
        return text
    return _KANA.sub(lambda m: _find_han(m.group()), text)


@cache
def _find_han(character: str) -> str:
    return next((c for c in _load_confusables().get(character, ()) if _HAN.fullmatch(c)), character)
