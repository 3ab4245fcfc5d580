"""Gloss the Chinese words of a sentence that mixes Chinese and English.

    "宝宝 since yesterday 一直 no kicks"  →  "baby since yesterday always no kicks"

Rules match within one language; a sentence that switches in the middle would tell each of them half. The words are
those of the signs ("glosses" of the red-flag table). A mixed message is read glossed too, not instead.
"""

from __future__ import annotations

import re
from functools import cache

from models.safety.triage.red_flag_table import load_rule_words, load_table
from models.templates import CHINESE

_LATIN_WORDS = re.compile(r"[a-z]{2,}")
_BORDER = re.compile(r"(?<=[\u4e00-\u9fff])(?=[a-z0-9])|(?<=[a-z0-9])(?=[\u4e00-\u9fff])")


def gloss_mixed(text: str) -> str:
    """A normalised text with its known Chinese words in English where it mixes both, else unchanged.

    It mixes both where a Latin word is one of the signs': an abbreviation or a brand in Chinese text is none."""
    if not CHINESE.search(text) or not any(w in load_rule_words() for w in _LATIN_WORDS.findall(text)):
        return text
    glossed = _compile_glosses().sub(lambda m: f" {_load_glosses()[m.group()]} ", text)
    return "\n".join(" ".join(line.split()) for line in _BORDER.sub(" ", glossed).splitlines())


@cache
def _load_glosses() -> dict[str, str]:
    glosses: dict[str, str] = load_table()["glosses"]
    return glosses


@cache
def _compile_glosses() -> re.Pattern[str]:
    return re.compile("|".join(sorted(_load_glosses(), key=len, reverse=True)))
