"""Run feature expressions on DuckDB, in UTC, with one connection per build.

``log`` is a view of every event file. The table ``query.VERSIONS`` has the versions (``build_versions``) of the
patients a build needs, computed once for all groups; a full build computes them partition by partition, so memory
does not grow with the log. What does not fit in memory spills to disk.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from feature_repo.point_in_time import KEY
from models.patient.currency import CurrencyRule
from pipelines.features.engines import feature_files, peer_rows
from pipelines.features.engines.feature_files import NightFile
from pmlm.settings import Settings
from pmlm.storage import SPILL_PREFIX

if TYPE_CHECKING:
    from pipelines.features.engines.query import Query

#: Work of one partition (``partitions.split_patients``): a larger one takes more memory and hardly less time.
PARTITION_WORK = 850_000
#: Memory for a build's tables; with the libraries a build takes less than 2 GB.
MEMORY_LIMIT = "1GiB"
#: Partitions built at the same time: one worker uses the cores that another leaves idle.
WORKERS = 2
#: DuckDB parses by a connection that all threads share.
_PARSE_LOCK = Lock()


@contextmanager
def open_connection(settings: Settings) -> Iterator[Backend]:
    """Open a connection for one build, which spills into a temporary folder of the workspace."""
    settings.workspace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.workspace, prefix=SPILL_PREFIX) as spill, connect() as connection:
        connection.raw_sql(f"SET memory_limit = '{MEMORY_LIMIT}'")
        connection.raw_sql(f"SET temp_directory = {_quote(spill)}")
        # every partition reads each event file's metadata, and no event file is ever edited
        connection.raw_sql("SET parquet_metadata_cache = true")
        yield connection


@contextmanager
def connect() -> Iterator[Backend]:
    """Open an in-memory DuckDB in UTC, which expressions without a connection (Feast's) use."""
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'")
    before, ibis.options.default_backend = ibis.options.default_backend, connection
    try:
        with warnings.catch_warnings():
            # Ibis 12 calls a method that DuckDB 2.0 has renamed
            warnings.filterwarnings("ignore", "fetch_arrow_table", DeprecationWarning)
            # a copy of the rows costs less than planning the query twice (``evaluate``)
            warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)
            yield connection
    finally:
        ibis.options.default_backend = before
        connection.disconnect()


def create_view(connection: Backend, name: str, expression: Table) -> Table:
    """Create or replace a view, computed where it is read."""
    connection.raw_sql(f'CREATE OR REPLACE VIEW "{name}" AS {to_sql(expression)}')
    return connection.table(name)


def create_table(connection: Backend, name: str, expression: Table | str) -> Table:
    """Compute an expression, or its SQL, into a table that replaces an older one."""
    if isinstance(expression, str):
        connection.con.execute(_parse(_format_create(name, expression)))
    else:
        connection.raw_sql(_format_create(name, to_sql(expression)))
    return connection.table(name)


def _format_create(name: str, sql: str) -> str:
    return f'CREATE OR REPLACE TABLE "{name}" AS {sql}'


def _parse(sql: str) -> duckdb.Statement:
    """Parse a statement once, though every partition runs it: parsing takes as long as running."""
    with _PARSE_LOCK:
        return _parse_once(sql)


@cache
def _parse_once(sql: str) -> duckdb.Statement:
    (statement,) = duckdb.extract_statements(sql)
    return statement


@contextmanager
def open_workers(connection: Backend, partitions: int) -> Iterator[list[Backend]]:
    """Open connections that build so many partitions in parallel, with own and shared tables."""
    if partitions < WORKERS:
        yield [connection]
        return
    [(threads,)] = connection.con.execute("SELECT current_setting('threads')").fetchall()
    connection.raw_sql(f"SET threads = {max(1, threads // WORKERS)}")  # workers that share cores cost a tenth more
    try:
        with ExitStack() as stack:
            yield [stack.enter_context(_open_worker(connection, f"worker_{number}")) for number in range(WORKERS)]
    finally:
        connection.raw_sql(f"SET threads = {threads}")


@contextmanager
def _open_worker(connection: Backend, schema: str) -> Iterator[Backend]:
    """Open another connection to the database, whose tables go to ``schema``."""
    connection.raw_sql(f"CREATE SCHEMA {schema}")
    worker = ibis.duckdb.from_connection(connection.con.cursor())
    worker.raw_sql("SET TimeZone = 'UTC'")
    worker.raw_sql(f"SET search_path = '{schema},main'")
    try:
        yield worker
    finally:
        worker.disconnect()
        connection.raw_sql(f"DROP SCHEMA {schema} CASCADE")


def to_sql(expression: Table) -> str:
    """Compile an expression to DuckDB's SQL."""
    return str(ibis.to_sql(expression, dialect="duckdb"))


def read_log(connection: Backend, files: list[Path]) -> Table:
    """Create the view ``log`` of the files' events, with the ``file`` each came from."""
    quoted = ", ".join(map(_quote, files))
    # Ibis would put a view of the session's own below it, which no worker sees
    connection.raw_sql(
        f"CREATE OR REPLACE VIEW log AS SELECT * EXCLUDE (path), parse_filename(path) AS file "
        f"FROM read_parquet([{quoted}], filename = 'path')"
    )
    return connection.table("log")


def _quote(path: Path | str) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def evaluate(connection: Backend, query: Query) -> pa.Table:
    """Compute a group's rows from the connection's record versions at its as-of times."""
    return connection.con.execute(_parse(query.sql)).to_arrow_table()


def map_patients(
    connection: Backend, tables: Sequence[Table], compute: Callable[..., pa.Table], schema: pa.Schema
) -> pa.Table:
    """Compute rows from the tables of the connection's patients, all at a time."""
    return compute(*(table.to_pyarrow() for table in tables)).cast(schema)


@contextmanager
def open_file(settings: Settings, file: NightFile) -> Iterator[Callable[[pa.Table], int]]:
    """Open a night's file, to which each partition's rows are added, sorted by patient and time."""
    with ExitStack() as stack:
        opened: list[pq.ParquetWriter] = []

        def write(table: pa.Table) -> int:
            finished = file.finish(table.sort_by([(column, "ascending") for column in KEY])).combine_chunks()
            if not opened:
                opened.append(stack.enter_context(feature_files.open_writer(file, finished.schema)))
            opened[0].write_table(finished)
            return finished.num_rows

        yield write


def find_peers(connection: Backend, features: Path, moments: Table, k: int, rule: CurrencyRule) -> pa.Table:
    """Search peers at each of the moments, in this process."""
    return peer_rows.compute_rows(features, moments.to_pyarrow(), k, rule)
