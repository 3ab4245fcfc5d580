"""Questions without a red flag (which would spare the model's wait); no run asks one twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from models.safety.triage.rules import find_red_flags

_WHAT = (
    "Is it normal to feel this tired",
    "May I go swimming with my sister",
    "Should I eat differently",
    "Can I go on working at my desk",
    "Which vitamins should I take",
    "How much water should I drink",
    "Is a short flight all right",
    "What may I do about heartburn at night",
)
_WHEN = (
    "after {n} short nights",
    "now that I have taken iron for {n} days",
    "until my visit in {n} days",
    "at {n} kilos",
)


def questions(start: int = 1) -> Iterator[str]:
    """Distinct routine questions, without end."""
    for n in itertools.count(start):
        for what, when in itertools.product(_WHAT, _WHEN):
            question = f"{what} {when.format(n=n)}?"
            if not find_red_flags(question):
                yield question


def chats(patients: list[str], asked: Iterator[str], *, stream: bool = False) -> Iterator[dict[str, Any]]:
    """Chat requests, the patients in turn."""
    for patient in itertools.cycle(patients):
        message = {"role": "user", "content": next(asked)}
        yield {"model": "stub", "user": patient, "messages": [message], "stream": stream}


def responses(patients: list[str], asked: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The same as a request to the Responses API."""
    for patient in itertools.cycle(patients):
        yield {"model": "stub", "user": patient, "input": next(asked)}


def requests(patients: list[str], asked: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Requests to ``/personalize``."""
    for patient in itertools.cycle(patients):
        yield {"patient": patient, "question": next(asked)}
