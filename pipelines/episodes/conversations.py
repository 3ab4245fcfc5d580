"""Read conversations from the event log: question, clinician's reply, rating.

A reply's ``parent`` is its question, a rating's ``parent`` its reply. Only the latest versions known by the as-of time
count, and of several replies the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from models.replies.sentences import split_sentences
from pipelines.records.log import event_log


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its reply, as sentences; ``rating`` is 1–5 or None."""

    record: int
    reply_record: int
    subject_id: int
    asked: datetime
    question: str
    reply: tuple[str, ...]
    rating: float | None


def pair_exchanges(events: pl.LazyFrame, as_of: datetime) -> list[Exchange]:
    """Pair all questions that have a non-empty reply by ``as_of``, ordered by time, record."""
    known = (
        event_log.select_as_of(events, as_of).filter(pl.col("kind").is_in(["question", "reply", "rating"])).collect()
    )
    ratings = _select_kind(known, "rating").sort("time", "record")
    rated = {row["parent"]: row["numeric_value"] for row in ratings.iter_rows(named=True)}  # the last one counts
    replies: dict[int, dict[str, Any]] = {}
    for row in _select_kind(known, "reply").sort("time", "record").iter_rows(named=True):
        if (row["text_value"] or "").strip():
            replies.setdefault(row["parent"], row)
    found = []
    for row in _select_kind(known, "question").sort("time", "record").iter_rows(named=True):
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


def _select_kind(events: pl.DataFrame, kind: str) -> pl.DataFrame:
    return events.filter(pl.col("kind") == kind)
