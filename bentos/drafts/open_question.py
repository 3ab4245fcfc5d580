"""Find a patient's newest portal question without a reply, as the release knew it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from bentos.personalizer.patient.portal_messages import find_time, read_messages, read_words


def find_open_question(folder: Path, batches: Iterable[str], subject: int, as_of: datetime) -> str | None:
    """The text of the newest question without a reply by ``as_of``; None where there is none.

    The same words asked later and answered count as its reply: a clinician's edit comes with the question once more.
    """
    current = read_messages(folder, batches, subject, as_of)
    answered = {row["parent"] for row in current if row["kind"] == "reply"}
    asked = [(read_words(row["text_value"]), row) for row in current if row["kind"] == "question"]
    closed: dict[str, datetime] = {}
    for words, row in asked:
        if row["record"] in answered:
            closed[words] = max(find_time(row), closed.get(words, find_time(row)))
    still_open = [
        row
        for words, row in asked
        if words and row["record"] not in answered and (words not in closed or closed[words] < find_time(row))
    ]
    newest = max(still_open, key=lambda row: (find_time(row), row["record"]), default=None)
    return None if newest is None else str(newest["text_value"])
