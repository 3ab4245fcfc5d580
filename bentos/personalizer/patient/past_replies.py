"""Find what clinicians wrote to a patient's own questions, as the release knew it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bentos.personalizer.patient.portal_messages import find_time, read_messages, read_words


@dataclass(frozen=True, slots=True)
class PastReply:
    """A patient's question and the clinician's reply to it, with its time."""

    question: str
    reply: str
    asked: datetime


def list_replies(folder: Path, batches: Iterable[str], subject: int, as_of: datetime) -> list[PastReply]:
    """The patient's questions that a clinician has answered by ``as_of``, the newest first."""
    messages = read_messages(folder, batches, subject, as_of)
    current = [row for row in messages if read_words(row["text_value"])]
    replies: dict[int, dict[str, Any]] = {}
    for row in sorted((r for r in current if r["kind"] == "reply"), key=_order):
        replies.setdefault(row["parent"], row)  # of several the first, as training has it
    asked = sorted((r for r in current if r["kind"] == "question" and r["record"] in replies), key=_order, reverse=True)
    return [
        PastReply(read_words(row["text_value"]), read_words(replies[row["record"]]["text_value"]), find_time(row))
        for row in asked
    ]


def _order(row: dict[str, Any]) -> tuple[datetime, int]:
    return find_time(row), row["record"]
