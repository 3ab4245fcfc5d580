"""Write a night's files on Spark's executors; the driver sees paths and counts.

Rows are distributed by a hash of the patient, sorted by patient and time, and written as they come, one file a
partition. What a failed or repeated attempt of a task leaves stays in the staging folder, which the driver removes:
only the files that a successful task has named are moved into place.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.point_in_time import KEY
from pipelines.features.engines.feature_files import NightFile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Rows per row group: Spark sends some thousand at a time.
ROWS_AT_ONCE = 122_880
NAMED = "part int, path string, rows long"


def write_parts(frame: DataFrame, schema: pa.Schema, file: NightFile, staging: Path) -> tuple[list[Path], int]:
    """Write the rows into files below ``staging``; return these, at least one, and how many rows."""

    # Spark reads what a function takes from its annotations, which a partial has not
    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return write_part(batches, schema, file, staging)

    placed = frame.repartition(KEY[0]).sortWithinPartitions(*KEY)
    written = sorted(placed.mapInArrow(write, NAMED).collect())
    if not written:
        empty = file.finish(schema.empty_table())
        path = staging / f"{uuid.uuid4().hex}.parquet"
        pq.write_table(empty.replace_schema_metadata(file.metadata), path, compression="zstd")
        return [path], 0
    return [Path(path) for _, path, _ in written], sum(rows for _, _, rows in written)


def write_part(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: NightFile, staging: Path
) -> Iterator[pa.RecordBatch]:
    """Write one partition's rows into a file of their own, and yield its name; none without rows."""
    from pyspark import TaskContext

    task, path, rows = TaskContext.get(), staging / f"{uuid.uuid4().hex}.parquet", 0
    tables = (file.finish(table.select(schema.names).cast(schema)) for table in _gather(batches))
    if (first := next(tables, None)) is None:
        return
    stated = first.schema.with_metadata(file.metadata)
    with pq.ParquetWriter(path, stated, compression="zstd") as writer:
        for table in chain([first], tables):
            writer.write_table(table)
            rows += table.num_rows
    part = -1 if task is None else task.partitionId()
    yield pa.RecordBatch.from_pydict({"part": pa.array([part], pa.int32()), "path": [str(path)], "rows": [rows]})


def _gather(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Gather batches into tables of about ``ROWS_AT_ONCE``; nothing where there are no rows."""
    some: list[pa.RecordBatch] = []
    for batch in batches:
        some.append(batch)
        if sum(map(len, some)) >= ROWS_AT_ONCE:
            yield pa.Table.from_batches(some)
            some = []
    if any(map(len, some)):
        yield pa.Table.from_batches(some)
