"""Join letters that were spaced, dotted or cut apart to the words that they spell.

    "c h e s t  p a i n" → "chest pain"    "as-pirin" → "aspirin"    "no<zero width>kicks" → "no kicks"

A run of single letters, or a word cut by marks or hidden characters, is joined where that gives a known word or a row
of known words: the row with the least Σ ln rank, ranks being those of the encoder's vocabulary. Chinese characters
lose what stands between them. Text that spells nothing stays as it is. The paper has no counterpart.
"""

from __future__ import annotations

import math
import re
from functools import cache

from models.safety.text.look_alikes import HIDDEN
from models.safety.triage.red_flag_table import load_rule_words, load_word_ranks
from models.templates import TEMPLATES

#: Read as text: the words of their comments are words too.
_DRUG_TABLES = ("drug_names.yaml", "pregnancy_drugs.yaml")
#: Three or more single letters with up to three marks or blanks between two of them.
_SINGLE = re.compile(r"(?<![^\W_])[a-z](?:(?:[^\w\n]|_){1,3}[a-z](?![^\W_])){2,}")
_CUT_HIDDEN = re.compile(rf"(?<![a-z])[a-z]++(?:{HIDDEN}{{1,3}}[a-z]++)+")
_CUT = re.compile(r"(?<![a-z])[a-z]++(?:(?:[^\w\s]|_){1,2}[a-z]++)+")
#: Marks that also stand between whole words: what they part is joined only where a piece is no word by itself.
_JOINING = re.compile(r"[\-‐-―.,/'’\"&:;()!?]")
_STRETCH = re.compile(r"([a-z])\1{2,}")
#: Not the marks that end a clause or quote.
_BETWEEN_HAN = re.compile(rf"(?<=[\u3400-\u9fff])[ \t\-‐-―_.·•*~`^|/\\+#@{HIDDEN}]{{1,3}}(?=[\u3400-\u9fff])")
_WORD = re.compile(r"[a-z]+")
_LONGEST_WORD, _LONGEST_RUN, _SHORTEST_JOINED = 24, 400, 4
#: ln of the rank that a word has which the vocabulary lacks (of the red-flag table, or a drug).
_RARE = math.log(30_000)


@cache
def load_known_words() -> dict[str, float]:
    """Words that letters may spell, each with its cost: the vocabulary's, the red-flag table's, drugs'."""
    drugs = _WORD.findall("".join((TEMPLATES / name).read_text("utf-8").lower() for name in _DRUG_TABLES))
    costs = {w: _RARE for w in (*drugs, *load_rule_words()) if len(w) > 2}
    costs |= dict.fromkeys(("cant", "wont", "dont", "didnt", "isnt", "hasnt", "havent", "im", "ive"), math.log(2_000))
    return costs | {w: math.log(10 + rank) for w, rank in load_word_ranks().items() if len(w) > 1 or w in "ai"}


def join_letters(text: str) -> str:
    """``text`` (folded, normalised) with its cut words joined; hidden characters are gone. Linear."""
    text = _CUT_HIDDEN.sub(lambda m: _join_cut(m.group()), text)
    text = _SINGLE.sub(lambda m: _join_single(m.group()), text)
    text = _CUT.sub(lambda m: _join_cut(m.group()), text)
    text = _join_neighbours(text.replace(HIDDEN, ""))
    text = _WORD.sub(lambda m: _shorten(m.group()), text) if _STRETCH.search(text) else text
    return _BETWEEN_HAN.sub("", text)


def _join_single(run: str) -> str:
    letters = "".join(_WORD.findall(run))
    return letters if letters in load_known_words() else _split_words(letters) or letters


def _join_cut(run: str) -> str:
    """A word cut by marks: joined if known; hidden characters join in any case."""
    known = load_known_words()
    pieces = _WORD.findall(run)
    letters = "".join(pieces)
    if letters in known and not (_JOINING.search(run) and all(map(_is_common, pieces))):
        return letters
    if HIDDEN not in run:
        return run
    if re.search(rf"[^a-z{HIDDEN}]", run):  # each word between other marks on its own
        return re.sub(rf"[a-z{HIDDEN}]+", lambda m: _join_cut(m.group()) if HIDDEN in m.group() else m.group(), run)
    return letters if letters in known else _split_words(letters) or letters


def _join_neighbours(text: str) -> str:
    """Two neighbours that are one known word, one of them no word by itself: "as pirin"."""
    known = load_known_words()
    pieces = re.split(r"([a-z]+)", text)
    for at in range(1, len(pieces) - 2, 2):
        left, right = pieces[at], pieces[at + 2]
        whole = left + right if pieces[at + 1] == " " and len(left + right) >= _SHORTEST_JOINED else ""
        if whole in known and any(len(w) > 1 and not _is_common(w) for w in (left, right)):
            pieces[at], pieces[at + 1], pieces[at + 2] = "", "", whole
    return "".join(pieces)


def _is_common(word: str) -> bool:
    """Whether a word stands by itself; the vocabulary's rare short entries are abbreviations and syllables."""
    cost = load_known_words().get(word, math.inf)
    return cost < (math.log(3_000) if len(word) < 4 else math.inf)


def _shorten(word: str) -> str:
    """A stretched word ("heeeelp") as the known word, with one or two of each letter."""
    known = load_known_words()
    if len(word) > _LONGEST_RUN or not _STRETCH.search(word):
        return word
    return next((w for again in (r"\1\1", r"\1") if (w := _STRETCH.sub(again, word)) in known), word)


def _split_words(letters: str) -> str | None:
    """The likeliest row of known words that the letters spell, or None."""
    if len(letters) > _LONGEST_RUN:
        return None
    known = load_known_words()
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(letters) + 1):
        starts = range(max(0, end - _LONGEST_WORD), end)
        costs = ((best[s][0] + known[w], s) for s in starts if (w := letters[s:end]) in known)
        best.append(min(costs, default=(math.inf, 0)))
    if best[-1][0] == math.inf:
        return None
    words, end = [], len(letters)
    while end:
        words.append(letters[best[end][1] : end])
        end = best[end][1]
    return " ".join(reversed(words))
