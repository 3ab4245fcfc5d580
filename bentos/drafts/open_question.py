"""Find a patient's newest portal question without a reply, as the release knew it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pyarrow.dataset as ds

from models.schema import DELETED

COLUMNS = ["time", "code", "text_value", "known_at", "kind", "record", "parent", "source"]


def find_open_question(folder: Path, batches: Iterable[str], subject: int, as_of: datetime) -> str | None:
    """The text of the newest question without a reply by ``as_of``; None where there is none."""
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
    asked = [
        row
        for row in current
        if row["kind"] == "question" and row["record"] not in answered and (row["text_value"] or "").strip()
    ]
    newest = max(asked, key=lambda row: (row["time"] or row["known_at"], row["record"]), default=None)
    return None if newest is None else str(newest["text_value"])
