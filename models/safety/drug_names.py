"""Every word by which a text can name a drug: substance, brand, abbreviation, class.

The table is ``template_files/drug_names.yaml`` (RxNorm, ATC). It serves allergies, which speak against a drug under all
of its names and against the members of its class that cross-react, and doses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cache, lru_cache
from typing import Any

import yaml

from models.safety.text.look_alikes import fold_look_alikes
from models.safety.triage.text_normalization import normalize_text
from models.templates import TEMPLATES

#: Words of a drug's display that name a form, not the drug.
_FORMS = frozenset(
    {"oral", "tablet", "tablets", "capsule", "capsules", "injection", "solution", "injectable", "extended", "release"}
    | {"delayed", "hour", "chewable", "topical", "cream", "prefilled", "syringe", "suspension", "sodium", "potassium"}
    | {"hydrochloride", "acid", "drug", "drugs", "medication", "medicine", "substance", "allergy", "allergic"}
    | {"product", "containing", "class", "antibiotic", "antibiotics", "reaction", "severe", "with", "and"}
)
#: Letters up to which a name is a whole word: "sulfa" does not begin "sulfate".
_WHOLE_WORD = 5


@cache
def _load_table() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((TEMPLATES / "drug_names.yaml").read_text("utf-8"))
    for group in loaded["cross_reacting"]:
        group["names"] = tuple(map(normalize_text, group["names"]))
    return loaded


@cache
def load_substances() -> dict[str, tuple[str, ...]]:
    """Each substance with its other names, normalised."""
    return {name: tuple(map(normalize_text, others)) for name, others in _load_table()["substances"].items()}


@lru_cache(maxsize=2000)  # every sentence of every answer is searched for the drugs of the patient's record
def find_drug_words(name: str) -> frozenset[str]:
    """Find the names of this drug, or of the members of this class.

    ``name`` is as a record gives it, English ("Ibuprofen 200 MG Oral Tablet", "NSAID", "ASA") or Chinese
    ("青霉素过敏"). Syntax of the result: :func:`mentions_drug`.
    """
    plain = normalize_text(fold_look_alikes(name))
    own = {w for w in re.findall(r"[a-z]{4,}", plain) if w not in _FORMS}
    named = {s for s, others in load_substances().items() if mentions_drug(plain, (s, *others))}
    for group in _load_table()["cross_reacting"]:
        if mentions_drug(plain, group["names"]):
            named |= set(group["members"])
            own |= set(group["names"])
    return frozenset(own | _list_names(named))


@lru_cache(maxsize=2000)
def find_cross_reacting_words(name: str) -> frozenset[str]:
    """Find the names of the drugs that an allergy to ``name`` speaks against: its own and its class's."""
    own = find_drug_words(name)
    groups = [g for g in _load_table()["cross_reacting"] if own & set(g["members"])]
    return own | _list_names({member for g in groups for member in g["members"]})


def mentions_drug(text: str, words: Collection[str]) -> bool:
    """Whether a normalised text holds one of the names.

    A name begins a word ("ibuprofens"), is a whole word where it is short ("asa"), or ends one ("*cillin").
    """
    return compile_drug_names(frozenset(words)).search(text) is not None


@lru_cache(maxsize=4000)
def compile_drug_names(words: frozenset[str]) -> re.Pattern[str]:
    """Compile names to one pattern; that of no name matches nothing."""
    return re.compile("|".join(sorted(map(_to_regex, words), key=len, reverse=True)) or r"(?!)")


def _to_regex(name: str) -> str:
    if not name.isascii():
        return re.escape(name)
    if name.startswith("*"):
        return rf"{re.escape(name[1:])}s?(?![a-z])"
    whole = r"(?![a-z])" if len(name) <= _WHOLE_WORD else ""
    return rf"(?<![a-z]){re.escape(name)}{whole}"


def _list_names(substances: Iterable[str]) -> frozenset[str]:
    table = load_substances()
    return frozenset(n for s in substances for n in (s, *table[s]))
