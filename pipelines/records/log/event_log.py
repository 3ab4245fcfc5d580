"""The append-only event log: content-named Parquet batches in ``EVENT_SCHEMA``, read whole or as of a moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import file_digest
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from models.schema import DELETED, EVENT_SCHEMA
from pipelines.records.log import ledger
from pmlm.settings import Settings
from pmlm.storage import atomic_write

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
    """All events in all versions, of every drop in the ledger."""
    return scan_batches(ledger.list_batches(settings))


def scan_batches(paths: list[Path]) -> pl.LazyFrame:
    """The events of some batches; an empty frame of the same schema where there are none."""
    return pl.scan_parquet(paths) if paths else pl.LazyFrame(schema=SCHEMA)


def select_as_of(frame: pl.LazyFrame, t: datetime) -> pl.LazyFrame:
    """Of each record the latest version known by ``t``, facts deleted by then left out."""
    known = frame.filter(pl.col("known_at") <= t).sort("record", "known_at", "source")
    return known.unique("record", keep="last", maintain_order=True).filter(pl.col("code") != DELETED)


def write_batch(settings: Settings, night: str, events: pl.DataFrame) -> str:
    """Write one batch, sorted by all its columns and named by its content; the file's name."""
    return write_batch_parts(settings, night, [events])


def write_batch_parts(settings: Settings, night: str, parts: Iterable[pl.DataFrame]) -> str:
    """Write one batch as ``write_batch`` does, of parts that come in order of their subjects, a subject in one of them."""
    settings.events.mkdir(parents=True, exist_ok=True)
    with atomic_write(settings.events / f".{night}.unnamed.part") as temporary:  # its name is known when it is written
        with pq.ParquetWriter(temporary, EVENT_SCHEMA, compression="zstd") as writer:
            for group in _split_row_groups(parts):
                writer.write_table(group, row_group_size=ROW_GROUP)
                pa.default_memory_pool().release_unused()  # it would keep what each group took
        with temporary.open("rb") as stream:
            name = f"{night}-{file_digest(stream, 'sha256').hexdigest()[:12]}.parquet"
    return (settings.events / f".{night}.unnamed.part").replace(settings.events / name).name


def _split_row_groups(parts: Iterable[pl.DataFrame]) -> Iterator[pa.Table]:
    """The rows of all parts, each part sorted, in runs of ``ROW_GROUP``."""
    held = EVENT_SCHEMA.empty_table()
    for part in parts:
        ordered = part.select(COLUMNS).sort(COLUMNS, nulls_last=False).to_arrow().cast(EVENT_SCHEMA)
        held = pa.concat_tables([held, ordered])
        while len(held) >= ROW_GROUP:
            yield held.slice(0, ROW_GROUP).combine_chunks()  # where pages end must not depend on the parts
            held = held.slice(ROW_GROUP)
    if len(held):
        yield held.combine_chunks()


def count_events(settings: Settings, batch: str | None) -> int:
    """How many events a batch holds; 0 for none."""
    return pq.read_metadata(settings.events / batch).num_rows if batch else 0
