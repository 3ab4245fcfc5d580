"""Find the events of source lines in the log, without anybody's prose."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from models.schema import DELETED
from models.templates import sanitize_record_text
from models.vocabulary import SIGNAL_BY_CODE
from pipelines.records.log import event_log, ledger
from pmlm.settings import Settings

#: Kinds whose text is somebody's prose, or a fact's key: it is not shown.
_UNNAMED = frozenset({"question", "reply", "dispute"})
_COLUMNS = ("subject_id", "code", "kind", "text_value", "known_at", "record", "parent", "source", "batch")


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """One version of one fact: which event it is, in which batch of which night, from which source line.

    ``record`` and ``parent`` are the hashes that all versions of the fact, and of what it belongs to, share.
    """

    record: str
    parent: str | None
    patient: str
    kind: str
    code: str
    name: str
    night: str
    batch: str
    source: str

    @property
    def subject(self) -> int:
        """The patient's subject id."""
        return int(self.patient.removeprefix("subject:"))


def find_events(settings: Settings, sources: Collection[str], subject: int | None = None) -> list[RecordEvent]:
    """Find the events of these source hashes, of one patient or of all, in the order in which they became known."""
    wanted = pl.col("source").is_in(sorted(set(sources)))
    return _read_events(settings, wanted if subject is None else (pl.col("subject_id") == subject) & wanted)


def find_newest_events(
    settings: Settings, subject: int, kinds: Collection[str], as_of: datetime, most: int
) -> list[RecordEvent]:
    """Find the newest facts of some kinds that had happened, and were known of a patient, by ``as_of``."""
    paths = ledger.list_batches(settings)
    if not paths or not most:
        return []
    mine = pl.scan_parquet(paths, include_file_paths="batch").filter(pl.col("subject_id") == subject)
    facts = event_log.select_as_of(mine, as_of).filter(pl.col("kind").is_in(sorted(kinds)), pl.col("time") <= as_of)
    rows = facts.sort("time", "record", descending=True).head(most).select(_COLUMNS).collect()
    return [_make_event(row) for row in rows.iter_rows(named=True)]


def find_record(settings: Settings, record: str) -> list[RecordEvent]:
    """Find all versions of a fact by its record hash."""
    return _read_events(settings, pl.col("record") == int(record, 16))


def list_subjects(settings: Settings) -> list[int]:
    """The patients of the log."""
    paths = ledger.list_batches(settings)
    if not paths:
        return []
    found = pl.scan_parquet(paths).select(pl.col("subject_id").unique().sort()).collect(engine="streaming")
    return [int(subject) for subject in found["subject_id"]]


def format_record(record: int) -> str:
    """A record hash as an episode's id has it."""
    return f"{record:016x}"


def _read_events(settings: Settings, wanted: pl.Expr) -> list[RecordEvent]:
    paths = ledger.list_batches(settings)
    if not paths:
        return []
    rows = pl.scan_parquet(paths, include_file_paths="batch").filter(wanted).select(_COLUMNS).collect()
    return [_make_event(row) for row in rows.sort("known_at", "batch", "code", "record").iter_rows(named=True)]


def _make_event(row: dict[str, Any]) -> RecordEvent:
    batch = Path(row["batch"]).name
    return RecordEvent(
        record=format_record(row["record"]),
        parent=None if row["parent"] is None else format_record(row["parent"]),
        patient=f"subject:{row['subject_id']}",
        kind=row["kind"],
        code=row["code"],
        name=_name_event(row),
        night=batch[: len("YYYYMMDD")],
        batch=batch,
        source=row["source"],
    )


def _name_event(row: dict[str, Any]) -> str:
    if signal := SIGNAL_BY_CODE.get(row["code"]):
        return signal.label
    if row["kind"] in _UNNAMED or row["code"] == DELETED:
        return ""
    return sanitize_record_text(row["text_value"] or "")
