"""Find words that talk down a warning sign, in several languages.

The table is ``template_files/reassurance.yaml``. Its words are looked for in answers to flagged questions. A wrong
match costs the answer behind the escalation, a missed one may cost the escalation its effect: so every wording counts,
in whatever context it stands.
"""

from __future__ import annotations

import re
from functools import cache

import yaml

from models.safety.triage.red_flag_table import compile_alternatives
from models.templates import TEMPLATES


@cache
def _load_wordings() -> tuple[re.Pattern[str], ...]:
    table: dict[str, list[str]] = yaml.safe_load((TEMPLATES / "reassurance.yaml").read_text("utf-8"))
    return tuple(compile_alternatives(" | ".join(wordings)) for wordings in table.values())


def reassures(text: str) -> bool:
    """Whether a normalised answer talks a warning sign down."""
    return any(pattern.search(text) for pattern in _load_wordings())
