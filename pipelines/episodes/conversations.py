"""Read conversations from the event log: question, clinician's reply, rating.

A question and its reply are joined by the reply's ``parent``, a rating and its reply likewise. Only what is known by
the moment asked about counts, in its latest version; the first reply to a question is *the* reply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from pipelines.records.log import event_log

_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[<A-Z0-9])|(?<=[。！？])")
_ABBREVIATIONS = ("Dr.", "Mr.", "Mrs.", "Ms.", "e.g.", "i.e.", "approx.", "vs.", "No.")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its reply: the records of both, ``reply``'s sentences, ``rating`` 1–5 or None."""

    record: int
    reply_record: int
    subject_id: int
    asked: datetime
    question: str
    reply: tuple[str, ...]
    rating: float | None


def split_sentences(text: str) -> tuple[str, ...]:
    """A text cut at sentence ends, English or Chinese; joined with spaces it is the (one-line) text again."""
    found: list[str] = []
    for part in _END.split(" ".join(text.split())):
        if found and found[-1].endswith(_ABBREVIATIONS):
            found[-1] = f"{found[-1]} {part}"
        elif part:
            found.append(part)
    return tuple(found)


def pair_exchanges(events: pl.LazyFrame, as_of: datetime) -> list[Exchange]:
    """All questions with a reply known by ``as_of``, in order of time, then record. A reply without text is none."""
    known = (
        event_log.select_as_of(events, as_of).filter(pl.col("kind").is_in(["question", "reply", "rating"])).collect()
    )
    ratings = _of_kind(known, "rating").sort("time", "record")
    rated = {row["parent"]: row["numeric_value"] for row in ratings.iter_rows(named=True)}  # the last one counts
    replies: dict[int, dict[str, Any]] = {}
    for row in _of_kind(known, "reply").sort("time", "record").iter_rows(named=True):
        if (row["text_value"] or "").strip():
            replies.setdefault(row["parent"], row)
    found = []
    for row in _of_kind(known, "question").sort("time", "record").iter_rows(named=True):
        reply = replies.get(row["record"])
        if reply is None or row["time"] is None or not (row["text_value"] or "").strip():
            continue
        found.append(
            Exchange(
                record=row["record"],
                reply_record=int(reply["record"]),
                subject_id=row["subject_id"],
                asked=row["time"],
                question=row["text_value"],
                reply=split_sentences(reply["text_value"]),
                rating=rated.get(reply["record"]),
            )
        )
    return found


def _of_kind(events: pl.DataFrame, kind: str) -> pl.DataFrame:
    return events.filter(pl.col("kind") == kind)
