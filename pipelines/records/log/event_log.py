"""The append-only event log, in Parquet batches named by content, and the clinic's clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import file_digest
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from models.schema import DELETED, EVENT_SCHEMA
from pipelines.night_dates import end_of_night, find_night
from pipelines.records.log import ledger
from pmlm.settings import Settings
from pmlm.storage import atomic_write, write_json

TIME = pl.Datetime("us", "UTC")

SCHEMA: dict[str, pl.DataType] = {
    "subject_id": pl.Int64(),
    "time": TIME,
    "code": pl.String(),
    "numeric_value": pl.Float32(),
    "text_value": pl.String(),
    "known_at": TIME,
    "kind": pl.String(),
    "unit": pl.String(),
    "encounter_id": pl.Int64(),
    "record": pl.Int64(),
    "parent": pl.Int64(),
    "source": pl.String(),
}
COLUMNS = list(SCHEMA)
ROW_GROUP = 122_880  # rows that one core reads at a time; DuckDB's own number


def scan_events(settings: Settings) -> pl.LazyFrame:
    """All versions of all events, of every drop in the ledger."""
    return scan_batches(ledger.list_batches(settings))


def scan_batches(paths: list[Path]) -> pl.LazyFrame:
    """The events of some batches; an empty frame of the same schema for no batch."""
    return pl.scan_parquet(paths) if paths else pl.LazyFrame(schema=SCHEMA)


def select_as_of(events: pl.LazyFrame, t: datetime) -> pl.LazyFrame:
    """The latest version of each record known by ``t``, without deleted records."""
    known = events.filter(pl.col("known_at") <= t).sort("record", "known_at", "source")
    return known.unique("record", keep="last", maintain_order=True).filter(pl.col("code") != DELETED)


def write_batch(settings: Settings, night: str, events: pl.DataFrame) -> str:
    """Write one batch, sorted by all its columns; return its file name."""
    return write_batch_parts(settings, night, [events])


def write_batch_parts(settings: Settings, night: str, parts: Iterable[pl.DataFrame]) -> str:
    """Write one batch from parts in order of subjects; each subject is in one part."""
    settings.events.mkdir(parents=True, exist_ok=True)
    unnamed = settings.events / f".{night}.unnamed.part"
    with atomic_write(unnamed) as temporary:  # the name follows from the content
        with pq.ParquetWriter(temporary, EVENT_SCHEMA, compression="zstd") as writer:
            for group in _split_row_groups(parts):
                writer.write_table(group, row_group_size=ROW_GROUP)
                pa.default_memory_pool().release_unused()  # it would keep the memory of each group
        with temporary.open("rb") as stream:
            name = f"{night}-{file_digest(stream, 'sha256').hexdigest()[:12]}.parquet"
    return unnamed.replace(settings.events / name).name


def _split_row_groups(parts: Iterable[pl.DataFrame]) -> Iterator[pa.Table]:
    """Yield the rows of all parts, each part sorted, in tables of ``ROW_GROUP`` rows."""
    pending = EVENT_SCHEMA.empty_table()
    for part in parts:
        ordered = part.select(COLUMNS).sort(COLUMNS, nulls_last=False).to_arrow().cast(EVENT_SCHEMA)
        pending = pa.concat_tables([pending, ordered])
        while len(pending) >= ROW_GROUP:
            yield pending.slice(0, ROW_GROUP).combine_chunks()  # where pages end must not depend on the parts
            pending = pending.slice(ROW_GROUP)
    if len(pending):
        yield pending.combine_chunks()


def find_known_nights(paths: Iterable[Path]) -> dict[Path, str]:
    """Find for each batch the night by whose end it was in the log and all its events were known.

    That is the night of its name, but for a drop that came after a later one: it is known from the later day on.
    """
    return {path: max(path.name[: len("YYYYMMDD")], _find_last_night(path)) for path in paths}


def _find_last_night(path: Path) -> str:
    """Find the first night by whose end all of a batch is known, by the file's statistics."""
    metadata, place = pq.read_metadata(path), COLUMNS.index("known_at")
    found = (metadata.row_group(number).column(place).statistics for number in range(metadata.num_row_groups))
    last: datetime | None = max((s.max for s in found if s is not None and s.has_min_max), default=None)
    return find_night(last) if last else ""


def count_events(settings: Settings, batch: str | None) -> int:
    """The number of events in a batch; 0 for none."""
    return pq.read_metadata(settings.events / batch).num_rows if batch else 0


def advance_clock(settings: Settings) -> None:
    """With ``clock: last_drop``, set the clinic's clock to the latest time anything is known.

    That is at least the end of the last drop's day.
    """
    entries = ledger.read_entries(settings)
    if settings.manifest.clock != "last_drop" or not entries:
        return
    latest = end_of_night(entries[-1].night)
    newest: datetime | None = scan_events(settings).select(pl.col("known_at").max()).collect(engine="streaming").item()
    write_json(settings.workspace / "clock.json", {"as_of": max(latest, newest or latest).isoformat()})
