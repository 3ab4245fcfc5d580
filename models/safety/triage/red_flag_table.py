"""Compile the red-flag table; its syntax is documented in ``template_files/red_flags.yaml``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import yaml

from models.encoder import find_packaged_minilm
from models.safety.triage.text_normalization import Speller, normalize_text
from models.templates import CHINESE, TEMPLATES

Label = Literal["emergency", "urgent", "routine"]


@dataclass(frozen=True, slots=True)
class Flag:
    """One sign found: name, label, fixed reason, public source; no patient text."""

    sign: str
    label: Label
    why: str
    source: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RulePart:
    """Alternatives as one pattern, with a literal (``pieces``) that each needs to match."""

    regex: re.Pattern[str]
    pieces: tuple[str, ...]

    def may_match(self, text: str) -> bool:
        """False where nothing can match, without the search, which is ten times slower."""
        for piece in self.pieces:  # noqa: SIM110 - a generator costs more than what it would look through
            if piece in text:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Sign:
    """One row of the table; a rule is parts that all occur in a sentence."""

    flag: Flag
    who: str
    lasting: bool
    weeks_from: int
    rules: tuple[tuple[RulePart, ...], ...]
    unless: re.Pattern[str] | None


#: At most five words, none of which denies: "waters ... broke" does not match "waters have not broken".
_GAP = r"(?:\W+(?!(?:not|no|never)\b)\w+){0,5}?\W+"


def _to_regex(alternative: str) -> str:
    pieces = [p.strip() for p in normalize_text(alternative).split("...")]
    if CHINESE.search(alternative):
        return r"[^，,]{0,8}?".join(re.escape(p) for p in pieces)
    quoted = [r"\s+".join(re.escape(w).replace(r"\*", r"\w*") for w in p.split()) for p in pieces]
    return r"(?<!\w)" + _GAP.join(quoted) + r"(?!\w)"


def compile_alternatives(part: str) -> re.Pattern[str]:
    """Compile the alternatives of a part (``a | b* | c ... d``), longer ones first."""
    return re.compile("|".join(map(_to_regex, _split_alternatives(part))))


def _split_alternatives(part: str) -> list[str]:
    return [a for a in sorted((a.strip() for a in part.split("|")), key=len, reverse=True) if a]


@cache
def _compile_part(part: str) -> RulePart:
    return RulePart(compile_alternatives(part), tuple(dict.fromkeys(map(_longest_literal, _split_alternatives(part)))))


def _longest_literal(alternative: str) -> str:
    """Find the longest literal that every match of the alternative contains."""
    pieces = [p.strip() for p in normalize_text(alternative).split("...")]
    if CHINESE.search(alternative):
        return max(pieces, key=len)
    return max((run for p in pieces for word in p.split() for run in word.split("*")), key=len)


@cache
def load_table() -> dict[str, Any]:
    """The table as it is written."""
    loaded: dict[str, Any] = yaml.safe_load((TEMPLATES / "red_flags.yaml").read_text("utf-8"))
    return loaded


@cache
def load_signs(language: str) -> tuple[Sign, ...]:
    """All signs with the rules of one language."""
    return tuple(
        Sign(
            flag=Flag(row["sign"], row["label"], row["why"], row["source"]),
            who=row.get("who", "anyone"),
            lasting=row.get("lasting", False),
            weeks_from=row.get("weeks_from", 0),
            rules=tuple(tuple(_compile_part(part) for part in rule.split(" & ")) for rule in row.get(language, ())),
            unless=compile_alternatives(row["unless"]) if "unless" in row else None,
        )
        for row in load_table()["signs"]
    )


@cache
def load_cue(language: str, name: str) -> re.Pattern[str]:
    """The pattern of one group of cues (``denied``, ``over``, …)."""
    return compile_alternatives(load_table()["cues"][language][name])


@cache
def load_speller() -> Speller:
    """Load the speller of the rules' English words and stems; real words and cues stay."""
    rules = _read_rule_patterns()
    cues = {w for text in load_table()["cues"]["en"].values() for w in re.findall(r"[a-z]+", normalize_text(text))}
    stems = {w.rstrip("*") for w in rules if w.endswith("*")}
    correct = cues | set(load_table()["spelled_right"]) | set(load_word_ranks())
    return Speller(load_rule_words(), frozenset(stems), frozenset(correct), load_table()["respelled"])


@cache
def load_rule_words() -> frozenset[str]:
    """The English words and stems of all rules."""
    return frozenset(w.rstrip("*") for w in _read_rule_patterns())


@cache
def _read_rule_patterns() -> frozenset[str]:
    signs_text = [normalize_text(part) for sign in load_table()["signs"] for part in sign.get("en", ())]
    return frozenset(w for text in signs_text for w in re.findall(r"[a-z]+\*?", text))


@cache
def load_word_ranks() -> dict[str, int]:
    """The whole words of the encoder's tokenizer, some 20,000 and none misspelt, frequent ones first."""
    tokenizer = json.loads((find_packaged_minilm() / "tokenizer.json").read_text("utf-8"))
    words = (word for word in tokenizer["model"]["vocab"] if word.isalpha())
    return {word: rank for rank, word in enumerate(words)}
