"""Read a patient's current questions and replies, as the release knew them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from models.schema import DELETED

COLUMNS = ["time", "code", "text_value", "known_at", "kind", "record", "parent", "source"]


def read_messages(folder: Path, batches: Iterable[str], subject: int, as_of: datetime) -> list[dict[str, Any]]:
    """Read the newest version of each question and reply by ``as_of``, without the deleted ones."""
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
    return [row for row in latest.values() if row["code"] != DELETED]


def read_words(text: str | None) -> str:
    """A text with its white space as single spaces."""
    return " ".join((text or "").split())


def find_time(row: dict[str, Any]) -> datetime:
    """When a message was sent; when the clinic knew of it, where that is not on record."""
    time: datetime = row["time"] or row["known_at"]
    return time
