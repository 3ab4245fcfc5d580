"""Find what clinicians wrote to a patient's own questions, as the release knew it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from models.schema import DELETED

COLUMNS = ["time", "code", "text_value", "known_at", "kind", "record", "parent", "source"]


@dataclass(frozen=True, slots=True)
class PastReply:
    """A patient's question and the clinician's reply to it, with its time."""

    question: str
    reply: str
    asked: datetime


def list_replies(folder: Path, batches: Iterable[str], subject: int, as_of: datetime) -> list[PastReply]:
    """The patient's questions that a clinician has answered by ``as_of``, the newest first."""
    files = [folder / name for name in batches if (folder / name).exists()]
    if not files:
        return []
    wanted = (
        (ds.field("subject_id") == subject)
        & (ds.field("known_at") <= as_of)
        & ds.field("kind").isin(["question", "reply", "deleted"])
    )
    rows = ds.dataset(files, format="parquet").to_table(columns=COLUMNS, filter=wanted).to_pylist()
    latest = {row["record"]: row for row in sorted(rows, key=lambda r: (r["known_at"], r["source"]))}
    current = [row for row in latest.values() if row["code"] != DELETED and read_words(row["text_value"])]
    replies: dict[int, dict[str, Any]] = {}
    for row in sorted((r for r in current if r["kind"] == "reply"), key=_order):
        replies.setdefault(row["parent"], row)  # of several the first, as training has it
    asked = sorted((r for r in current if r["kind"] == "question" and r["record"] in replies), key=_order, reverse=True)
    return [
        PastReply(read_words(row["text_value"]), read_words(replies[row["record"]]["text_value"]), _find_time(row))
        for row in asked
    ]


def read_words(text: str | None) -> str:
    """A text with its white space as single spaces."""
    return " ".join((text or "").split())


def _order(row: dict[str, Any]) -> tuple[datetime, int]:
    return _find_time(row), row["record"]


def _find_time(row: dict[str, Any]) -> datetime:
    time: datetime = row["time"] or row["known_at"]
    return time
