"""The red-flag table as compiled patterns. Its syntax stands in the head of ``templates/red_flags.yaml``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import yaml

from models.encoder import packaged_minilm
from models.safety.triage.text_normalization import Speller, normal
from models.templates import TEMPLATES

Label = Literal["emergency", "urgent", "routine"]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class Flag:
    """One sign found: name, ``emergency`` or ``urgent``, reason in fixed words, public source. No patient text."""

    sign: str
    label: Label
    why: str
    source: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The alternatives of a part as one pattern; ``pieces`` holds of each a text without which it cannot match."""

    regex: re.Pattern[str]
    pieces: tuple[str, ...]

    def may_match(self, text: str) -> bool:
        """False where no search is needed to know that nothing matches; the search is ten times slower."""
        for piece in self.pieces:  # noqa: SIM110 - a generator costs more than what it would look through
            if piece in text:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Sign:
    """One row of the table: each rule is a tuple of parts that must all occur in a sentence."""

    flag: Flag
    who: str
    lasting: bool
    weeks_from: int
    rules: tuple[tuple[Part, ...], ...]
    unless: re.Pattern[str] | None


#: At most five words, none of which denies: "waters ... broke" is not said by "waters have not broken".
_GAP = r"(?:\W+(?!(?:not|no|never)\b)\w+){0,5}?\W+"


def _words(alternative: str) -> str:
    pieces = [p.strip() for p in normal(alternative).split("...")]
    if CHINESE.search(alternative):
        return r"[^，,]{0,8}?".join(re.escape(p) for p in pieces)
    quoted = [r"\s+".join(re.escape(w).replace(r"\*", r"\w*") for w in p.split()) for p in pieces]
    return r"(?<!\w)" + _GAP.join(quoted) + r"(?!\w)"


def pattern(part: str) -> re.Pattern[str]:
    """The alternatives of a part (``a | b* | c ... d``) as one pattern, longer alternatives first."""
    return re.compile("|".join(map(_words, _alternatives(part))))


def _alternatives(part: str) -> list[str]:
    return [a for a in sorted((a.strip() for a in part.split("|")), key=len, reverse=True) if a]


@cache
def _part(part: str) -> Part:
    return Part(pattern(part), tuple(dict.fromkeys(map(_piece, _alternatives(part)))))


def _piece(alternative: str) -> str:
    """The longest run of letters that every match of the alternative holds: a word, or what stands beside a ``*``."""
    pieces = [p.strip() for p in normal(alternative).split("...")]
    if CHINESE.search(alternative):
        return max(pieces, key=len)
    return max((run for p in pieces for word in p.split() for run in word.split("*")), key=len)


@cache
def table() -> dict[str, Any]:
    """The table as it is written."""
    loaded: dict[str, Any] = yaml.safe_load((TEMPLATES / "red_flags.yaml").read_text("utf-8"))
    return loaded


@cache
def signs(language: str) -> tuple[Sign, ...]:
    """All signs with the rules of one language."""
    return tuple(
        Sign(
            flag=Flag(row["sign"], row["label"], row["why"], row["source"]),
            who=row.get("who", "anyone"),
            lasting=row.get("lasting", False),
            weeks_from=row.get("weeks_from", 0),
            rules=tuple(tuple(_part(part) for part in rule.split(" & ")) for rule in row.get(language, ())),
            unless=pattern(row["unless"]) if "unless" in row else None,
        )
        for row in table()["signs"]
    )


@cache
def cue(language: str, name: str) -> re.Pattern[str]:
    """The pattern of one group of cues (``denied``, ``over``, …)."""
    return pattern(table()["cues"][language][name])


@cache
def speller() -> Speller:
    """Mends towards the English words and stems of the rules; real words and those of the cues are left alone."""
    signs_text = [normal(part) for sign in table()["signs"] for part in sign.get("en", ())]
    rules = {w for text in signs_text for w in re.findall(r"[a-z]+\*?", text)}
    cues = {w for text in table()["cues"]["en"].values() for w in re.findall(r"[a-z]+", normal(text))}
    stems = {w.rstrip("*") for w in rules if w.endswith("*")}
    kept = cues | set(table()["spelled_right"]) | _real_words()
    return Speller(frozenset(w.rstrip("*") for w in rules), frozenset(stems), frozenset(kept), table()["respelled"])


def _real_words() -> frozenset[str]:
    """Whole words that the encoder's tokenizer knows: some 20,000 everyday ones, no misspelling among them."""
    tokenizer = json.loads((packaged_minilm() / "tokenizer.json").read_text("utf-8"))
    return frozenset(word for word in tokenizer["model"]["vocab"] if word.isalpha())
