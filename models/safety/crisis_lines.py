"""Name the crisis line of a country; the table is ``template_files/crisis_lines.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from models.templates import TEMPLATES

#: Where no country is set: the lines of the largest countries of each language, and a directory of all others.
_ANYWHERE = {
    "en": (
        "You do not have to be alone with this. A crisis line listens: in the US and Canada call or text 988, in "
        "the UK and Ireland call 116 123, and findahelpline.com lists the lines of other countries."
    ),
    "zh": ("您不必独自承受。心理援助热线愿意倾听：中国大陆请拨打12356，其他国家和地区的热线见 findahelpline.com。"),
}
_IN_COUNTRY = {
    "en": "You do not have to be alone with this. A crisis line listens: call {number} ({name}).",
    "zh": "您不必独自承受。心理援助热线愿意倾听：请拨打 {number}（{name}）。",
}
_BY_TEXT_TOO = {
    "en": "You do not have to be alone with this. A crisis line listens: call or text {number} ({name}).",
    "zh": "您不必独自承受。心理援助热线愿意倾听：请拨打 {number} 或发短信至 {number}（{name}）。",
}


@dataclass(frozen=True, slots=True)
class CrisisLine:
    """One row of the table; ``name`` is by language."""

    country: str
    number: str
    name: dict[str, str]
    source: str
    texts: bool = False


@cache
def load_crisis_lines() -> dict[str, CrisisLine]:
    """The table by country."""
    rows: list[dict[str, Any]] = yaml.safe_load((TEMPLATES / "crisis_lines.yaml").read_text("utf-8"))
    return {row["country"]: CrisisLine(**row) for row in rows}


def name_crisis_line(language: str, country: str | None = None) -> str:
    """The sentence that names the country's crisis line; None: those of the largest countries."""
    if country is None:
        return _ANYWHERE.get(language, _ANYWHERE["en"])
    line = load_crisis_lines()[country]
    words = _BY_TEXT_TOO if line.texts else _IN_COUNTRY
    name = line.name.get(language, line.name["en"])
    return words.get(language, words["en"]).format(number=line.number, name=name)
