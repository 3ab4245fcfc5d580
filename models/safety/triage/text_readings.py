"""List a text's readings: as written, and with its disguises undone.

    readings(t) = { normalise(t), normalise(join_letters(normalise(fold_look_alikes(t)))) }

Triage and the answer check read each on its own. What any reading shows counts, so that undoing a disguise never hides
what the words say as they are written. Plain text has one reading. The paper has no counterpart.
"""

from __future__ import annotations

import re

from models.safety.text.look_alikes import fold_look_alikes, is_invisible
from models.safety.triage.letter_joining import join_letters, load_known_words
from models.safety.triage.text_normalization import normalize_text

_REPEATED = re.compile(r"([^\w\s])\1{3,}")


def list_readings(text: str) -> tuple[str, ...]:
    """The normalised readings of ``text``, as written first; the other only where it differs. Linear."""
    short = _REPEATED.sub(r"\1\1\1", text)
    written = normalize_text(_blank_invisible(short))
    folded = normalize_text(fold_look_alikes(short, load_known_words()))
    return tuple(dict.fromkeys((written, normalize_text(join_letters(folded)))))


def _blank_invisible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if not c.isalnum() and is_invisible(c) else c for c in text)
