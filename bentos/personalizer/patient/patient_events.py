"""Read one patient's events as the release knew them, for sentence sources and trajectories.

Read from the batches that the served release names, so that an explanation is of the same records as the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from models.fact_disputes import DISPUTE_KIND, is_hidden
from models.schema import DELETED
from models.templates import sanitize_record_text
from models.vocabulary import SIGNAL_BY_CODE

COLUMNS = ["time", "code", "numeric_value", "text_value", "known_at", "kind", "unit", "record", "source"]
#: Kinds whose text is somebody's prose, not a code's display: it is never shown as a source.
PROSE = frozenset({"question", "reply"})


@dataclass(frozen=True, slots=True)
class PatientEvent:
    """The latest version of one fact; ``name`` is safe to show, "" for prose, a fact's key for a dispute.

    ``exact``: a value that is no bound and not preliminary.
    """

    time: datetime | None
    known_at: datetime
    kind: str
    code: str
    name: str
    value: float | None
    unit: str
    source: str
    exact: bool


def read_events(folder: Path, batches: Iterable[str], subject: int, as_of: datetime) -> list[PatientEvent]:
    """Facts known by ``as_of``, oldest first: the latest versions, without deleted and disputed ones."""
    files = [folder / name for name in batches if (folder / name).exists()]
    if not files:
        return []
    wanted = (ds.field("subject_id") == subject) & (ds.field("known_at") <= as_of)
    rows = ds.dataset(files, format="parquet").to_table(columns=COLUMNS, filter=wanted).to_pylist()
    latest = {row["record"]: row for row in sorted(rows, key=lambda r: (r["known_at"], r["source"]))}
    found = [_event(row) for row in latest.values() if row["code"] != DELETED and not is_hidden(row["kind"])]
    return sorted(found, key=lambda e: (e.time or e.known_at, e.code))


def _event(row: dict) -> PatientEvent:
    signal = SIGNAL_BY_CODE.get(row["code"])
    stated = row["text_value"] or ""
    text = "" if row["kind"] in PROSE else stated if row["kind"] == DISPUTE_KIND else sanitize_record_text(stated)
    value = row["numeric_value"]
    # float32 in the log: two decimals are finer than any signal is measured
    return PatientEvent(
        time=row["time"],
        known_at=row["known_at"],
        kind=row["kind"],
        code=row["code"],
        name=signal.label if signal else text,
        value=None if value is None else round(value, 2),
        unit=row["unit"] or "",
        source=row["source"],
        exact=value is not None and row["text_value"] is None,
    )


def has_events(folder: Path, subject: int) -> bool:
    """Whether any batch of the log, even a newer one, has events of this patient."""
    return subject in find_newest(folder, tuple(sorted(path.name for path in folder.glob("*.parquet"))))


@lru_cache(maxsize=4)
def find_newest(folder: Path, batches: tuple[str, ...]) -> dict[int, datetime]:
    """When each patient's newest event became known, over these batches."""
    latest: dict[int, datetime] = {}
    for name in batches:
        if not (folder / name).exists():
            continue
        table = pq.read_table(folder / name, columns=["subject_id", "known_at"])
        grouped = table.group_by("subject_id").aggregate([("known_at", "max")])
        for row in grouped.to_pylist():
            subject, moment = row["subject_id"], row["known_at_max"]
            latest[subject] = max(moment, latest.get(subject, moment))
    return latest
