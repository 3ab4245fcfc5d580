"""Red flags beyond the question alone: of its parts and of earlier messages.

Flags are only ever added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bentos.personalizer import responses
from bentos.personalizer.prepared_prompt import PreparedPrompt
from models.encoder import MiniLM
from models.safety.triage.message_parts import find_flags_of_readings, list_readings, merge_flags
from models.safety.triage.red_flag_table import Flag
from models.safety.triage.rules import find_red_flags


def add_flags(prepared: PreparedPrompt, found: Sequence[Flag], country: str | None) -> PreparedPrompt:
    """The prepared prompt with these red flags besides its own; ``country`` chooses the crisis line."""
    if not found:
        return prepared
    flags = merge_flags(prepared.personalized.flags, found)
    personalized = replace(prepared.personalized, flags=flags)
    return replace(prepared, personalized=personalized, response=responses.set_flags(prepared.response, flags, country))


def find_flags_of_parts(prepared: PreparedPrompt, parts: Sequence[str], encoder: MiniLM) -> tuple[Flag, ...]:
    """The red flags of every part that a question came in; none where it came whole."""
    if len(parts) < 2:
        return ()
    readings = list_readings(parts)
    made = prepared.personalized
    found = find_flags_of_readings(readings, made.language, made.context, encoder)
    for text in readings:
        encoder.forget(text)
    return found


def find_earlier_flags(prepared: PreparedPrompt, earlier: Sequence[str], encoder: MiniLM) -> tuple[Flag, ...]:
    """The red flags of the newest earlier message that has any.

    No answer may talk those down either. None where the question itself has some.
    """
    if prepared.personalized.flags or not earlier:
        return ()
    encoder.encode(earlier)  # one pass for all; each is then only looked up
    found = (
        find_red_flags(words, prepared.personalized.language, prepared.personalized.context, encoder)
        for words in earlier
    )
    flags = next((flags for flags in found if flags), ())
    for words in earlier:
        encoder.forget(words)
    return flags
