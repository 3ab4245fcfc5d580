"""Find a patient's newest portal question without a reply, as the release knew it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from models.schema import DELETED

COLUMNS = ["time", "code", "text_value", "known_at", "kind", "record", "parent", "source"]


def find_open_question(folder: Path, batches: Iterable[str], subject: int, as_of: datetime) -> str | None:
    """The text of the newest question without a reply by ``as_of``; None where there is none.

    The same words asked later and answered count as its reply: a clinician's edit comes with the question once more.
    """
    files = [folder / name for name in batches if (folder / name).exists()]
    if not files:
        return None
    wanted = (
        (ds.field("subject_id") == subject)
        & (ds.field("known_at") <= as_of)
        & ds.field("kind").isin(["question", "reply", "deleted"])
    )
    rows = ds.dataset(files, format="parquet").to_table(columns=COLUMNS, filter=wanted).to_pylist()
    latest = {row["record"]: row for row in sorted(rows, key=lambda r: (r["known_at"], r["source"]))}
    current = [row for row in latest.values() if row["code"] != DELETED]
    answered = {row["parent"] for row in current if row["kind"] == "reply"}
    asked = [row for row in current if row["kind"] == "question" and _read_words(row)]
    closed: dict[str, datetime] = {}
    for row in asked:
        if row["record"] in answered:
            closed[_read_words(row)] = max(_find_time(row), closed.get(_read_words(row), _find_time(row)))
    still_open = [
        row
        for row in asked
        if row["record"] not in answered
        and (_read_words(row) not in closed or closed[_read_words(row)] < _find_time(row))
    ]
    newest = max(still_open, key=lambda row: (_find_time(row), row["record"]), default=None)
    return None if newest is None else str(newest["text_value"])


def _read_words(row: dict[str, Any]) -> str:
    return " ".join((row["text_value"] or "").split())


def _find_time(row: dict[str, Any]) -> datetime:
    time: datetime = row["time"] or row["known_at"]
    return time
