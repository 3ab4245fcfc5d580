"""Copy Parquet files without the rows of some patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SUBJECT = "subject_id"
Metadata = dict[bytes, bytes]


def has_patients(path: Path, subjects: frozenset[int], column: str = SUBJECT) -> bool:
    """Whether the file has a row of any of the patients; row groups that cannot have one are not read."""
    with pq.ParquetFile(path) as file:
        if column not in file.schema_arrow.names:
            return False
        wanted = pa.array(sorted(subjects), pa.int64())
        for group in _list_groups(file, subjects, column):
            if pc.any(pc.is_in(file.read_row_group(group, [column])[column], wanted)).as_py():
                return True
    return False


def read_patients(path: Path, subjects: frozenset[int]) -> pa.Table:
    """The rows of some patients."""
    with pq.ParquetFile(path) as file:
        wanted = pa.array(sorted(subjects), pa.int64())
        tables = (file.read_row_group(group) for group in _list_groups(file, subjects, SUBJECT))
        parts = [table.filter(pc.is_in(table[SUBJECT], wanted)) for table in tables]
        return pa.concat_tables([file.schema_arrow.empty_table(), *parts])


def copy_without(
    source: Path,
    target: Path,
    keep: Callable[[pa.Table], pa.ChunkedArray],
    restate: Callable[[Metadata], Metadata] | None = None,
) -> int:
    """Write the rows that ``keep`` selects, one row group at a time; return how many there are.

    ``restate`` changes the file's own metadata. Equal rows give equal bytes.
    """
    left = 0
    with pq.ParquetFile(source) as file:
        schema = file.schema_arrow
        if restate is not None:
            schema = schema.with_metadata(restate(dict(schema.metadata or {})))
        with pq.ParquetWriter(target, schema, compression="zstd") as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                table = table.filter(keep(table)).replace_schema_metadata(schema.metadata)
                left += table.num_rows
                if table.num_rows:
                    writer.write_table(table)
    return left


def select_others(subjects: frozenset[int], column: str = SUBJECT) -> Callable[[pa.Table], pa.ChunkedArray]:
    """Select the rows that are none of the patients'."""
    wanted = pa.array(sorted(subjects), pa.int64())
    return lambda table: pc.invert(pc.is_in(table[column], wanted))


def _list_groups(file: pq.ParquetFile, subjects: frozenset[int], column: str) -> Iterator[int]:
    """The row groups that may have a row of the patients, by the file's statistics."""
    place = file.schema_arrow.names.index(column)
    for group in range(file.num_row_groups):
        found = _read_range(file, group, place, column)
        if found is None or any(found[0] <= subject <= found[1] for subject in subjects):
            yield group


def _read_range(file: pq.ParquetFile, group: int, place: int, column: str) -> tuple[int, int] | None:
    chunk = file.metadata.row_group(group)
    # a nested column before it moves its place among the file's own columns
    at = next((i for i in range(place, chunk.num_columns) if chunk.column(i).path_in_schema == column), None)
    stated = chunk.column(at).statistics if at is not None else None
    return (stated.min, stated.max) if stated is not None and stated.has_min_max else None


def read_metadata(path: Path) -> Mapping[bytes, bytes]:
    """What the file states of itself."""
    return pq.read_schema(path).metadata or {}
