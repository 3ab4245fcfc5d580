"""Messages to triage read from a JSON Lines file, every bad line named, and answered one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from models.encoder import Encoder
from models.safety.answer_check import Context, Flag, label_of, red_flags

SHOWN_PROBLEMS = 3


class Known(BaseModel, extra="forbid"):
    """What is known of the patient beside her words; left out: unknown."""

    pregnant: bool | None = None
    gestational_weeks: int | None = Field(None, ge=0, le=45)
    postpartum_weeks: int | None = Field(None, ge=0, le=5200)


class Message(BaseModel, extra="ignore"):
    """One line: an id, her words, their language, what is known of her. Other keys (label, trap) are passed over."""

    id: str | int
    text: str
    lang: Literal["en", "zh"] = "en"
    context: Known | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no message: its number from 1, and what is wrong with it. Never the words of the message."""

    number: int
    problem: str


def read(lines: Iterable[bytes]) -> Iterator[Message | BadLine]:
    """Each line as a message or as what is wrong with it; blank lines are passed over."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield Message.model_validate_json(line)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False)
            words = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" if e["loc"] else e["msg"] for e in wrong]
            yield BadLine(number, "; ".join(words[:SHOWN_PROBLEMS]))


def triage(message: Message, encoder: Encoder) -> dict[str, Any]:
    """``{id, label, signs, why}`` of a message; ``why`` gives each sign's reason and source."""
    known = message.context.model_dump() if message.context else {}
    flags = red_flags(message.text, message.lang, Context(**known), encoder)
    return {
        "id": message.id,
        "label": label_of(flags),
        "signs": [flag.sign for flag in flags],
        "why": [reason(flag) for flag in flags],
    }


def reason(flag: Flag) -> str:
    """Why a flag was raised, in the table's fixed words, with the public source."""
    return f"{flag.why} ({flag.source})" if flag.source else flag.why
