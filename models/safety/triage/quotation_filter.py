"""Remove quotations of leaflets and forms, which say nothing of the patient.

    'The card says "severe pain, fever or heavy bleeding". May I swim?'   →   'The card says "". May I swim?'

A quotation counts as another's where a leaflet's or a form's word (cue ``quoting`` of the table) is before it, near
and in the same sentence, and the patient does not speak it ("I said"). What a person says ("my wife says") and what a
form records of the patient ("symptom": …) is reported, not quoted. Everything outside the quotation marks is read as
usual, and the classifier still reads the whole message.
"""

from __future__ import annotations

import re

from models.safety.triage.red_flag_table import load_cue

#: Marks as ``wording.normal`` leaves them. An apostrophe opens a quotation only where no letter stands before it.
_QUOTATION = re.compile(r'"([^"\n]{2,300})"|(?<!\w)\'([^\'\n]{6,300})\'(?!\w)|[「『《]([^」』》\n]{2,300})[」』》]')
_NEAR = 45  # characters
_ENDS = re.compile(r"[.!?;\n。！？；\"]")
_KEY = re.compile(r'"(\w+)"\s*:\s*$')  # of JSON
_HERSELF = re.compile(r"\b(?:i|we) (?:say|said|told|am|have)\b|我[说讲]")


def remove_quotations(text: str) -> str:
    """``text`` (normalised) without what it quotes of others."""

    def replace(found: re.Match[str]) -> str:
        near = text[max(0, found.start() - _NEAR) : found.start()]
        key = _KEY.search(near)
        before = key[1] if key else _ENDS.split(near)[-1]
        others = any(load_cue(language, "quoting").search(before) for language in ("en", "zh"))
        return '""' if others and not _HERSELF.search(before) else found.group()

    return _QUOTATION.sub(replace, text)
