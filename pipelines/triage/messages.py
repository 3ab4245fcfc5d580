"""Read messages from a JSON Lines file, name every bad line, and triage each message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from models.encoder import Encoder
from models.safety.triage.red_flag_table import Flag
from models.safety.triage.rules import TriageContext, find_gravest_label, find_red_flags

SHOWN_PROBLEMS = 3


class MessageContext(BaseModel, extra="forbid"):
    """What is known of the patient beyond the message; a missing field is unknown."""

    pregnant: bool | None = None
    gestational_weeks: int | None = Field(None, ge=0, le=45)
    postpartum_weeks: int | None = Field(None, ge=0, le=5200)


class TriageMessage(BaseModel, extra="ignore"):
    """One line: id, text, language, context; other keys (label, trap) are ignored."""

    id: str | int
    text: str
    lang: Literal["en", "zh"] = "en"
    context: MessageContext | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """An invalid line: its number from 1 and the problem, never the message's text."""

    number: int
    problem: str


def read_messages(lines: Iterable[bytes]) -> Iterator[TriageMessage | BadLine]:
    """Parse each line to a message or to its problem; blank lines are skipped."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield TriageMessage.model_validate_json(line)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False)
            words = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" if e["loc"] else e["msg"] for e in wrong]
            yield BadLine(number, "; ".join(words[:SHOWN_PROBLEMS]))


def triage_message(message: TriageMessage, encoder: Encoder) -> dict[str, Any]:
    """Triage a message to ``{id, label, signs, why}``; ``why`` gives reason and source per sign."""
    known = message.context.model_dump() if message.context else {}
    flags = find_red_flags(message.text, message.lang, TriageContext(**known), encoder)
    return {
        "id": message.id,
        "label": find_gravest_label(flags),
        "signs": [flag.sign for flag in flags],
        "why": [format_reason(flag) for flag in flags],
    }


def format_reason(flag: Flag) -> str:
    """Format why a flag was raised: the table's fixed words and the public source."""
    return f"{flag.why} ({flag.source})" if flag.source else flag.why
