"""DuckDB as the engine of the feature expressions: the event log as tables, time zone UTC, one connection a build.

``log`` is every event of every file with the ``file`` it came from, a view on Parquet; ``held`` are the versions
(``point_in_time.versions``) of whom a build needs, computed once for all groups (``reading``), of everybody in parts
(``parts``) so that memory does not grow with the log. What does not fit lies on disk. Expressions meet only
Ibis tables: another engine is another module with the functions of ``Engine``, such as ``spark``.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, Protocol

import duckdb
import ibis
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from feature_repo import point_in_time
from models.schema import EVENT_SCHEMA
from pipelines.features.engines import peer_rows
from pmlm.settings import Settings
from pmlm.storage import SPILL_PREFIX

#: Work (``parts.cut``) that a build of everybody does together: larger parts take more memory and hardly less time.
PART = 850_000
#: What a build's tables take in memory; with the libraries a build holds less than 2 GB.
MEMORY = "1GiB"
#: How many parts are worked at together: while one leaves a core idle, the other takes it.
LANES = 2
#: DuckDB reads statements by a connection of the whole process.
_ONE_READS = Lock()


class Engine(Protocol):
    """What a module must offer to compute features. ``connection`` is what its own ``opened`` gave."""

    #: How many events a build of everybody works at together; None for all.
    @property
    def PART(self) -> int | None: ...

    def opened(self, settings: Settings) -> AbstractContextManager[Any]: ...

    def read_log(self, connection: Any, files: list[Path]) -> Table: ...

    def view(self, connection: Any, name: str, expression: Table) -> Table: ...

    def keep(self, connection: Any, name: str, expression: Table | str) -> Table: ...

    def sql(self, expression: Table) -> str: ...

    def lanes(self, connection: Any, parts: int) -> AbstractContextManager[Sequence[Any]]: ...

    def evaluate(self, connection: Any, query: Query) -> pa.Table: ...

    def peers(self, connection: Any, features: Path, moments: Table, k: int) -> pa.Table: ...


@contextmanager
def opened(settings: Settings) -> Iterator[Backend]:
    """A connection for one build; what does not fit ``MEMORY`` lies beside the clinic's other files while it lasts."""
    settings.workspace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.workspace, prefix=SPILL_PREFIX) as spill, connect() as connection:
        connection.raw_sql(f"SET memory_limit = '{MEMORY}'")
        connection.raw_sql(f"SET temp_directory = {_quoted(spill)}")
        # every part asks each event file what it holds, and no event file is ever edited
        connection.raw_sql("SET parquet_metadata_cache = true")
        yield connection


@contextmanager
def connect() -> Iterator[Backend]:
    """An in-memory DuckDB whose session lives in UTC, also for expressions that name no connection (Feast's)."""
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


def view(connection: Backend, name: str, expression: Table) -> Table:
    """Give ``expression`` a name, replacing an older view; it is computed where it is asked for."""
    connection.raw_sql(f'CREATE OR REPLACE VIEW "{name}" AS {sql(expression)}')
    return connection.table(name)


def keep(connection: Backend, name: str, expression: Table | str) -> Table:
    """Compute an expression (or its ``sql``) once into a table of that name, replacing an older one."""
    if isinstance(expression, str):
        connection.con.execute(_parsed(_table(name, expression)))
    else:
        connection.raw_sql(_table(name, sql(expression)))
    return connection.table(name)


def _table(name: str, said: str) -> str:
    return f'CREATE OR REPLACE TABLE "{name}" AS {said}'


def _parsed(said: str) -> duckdb.Statement:
    """A statement that is asked of part after part, read once: a long one takes as long to read as to answer."""
    with _ONE_READS:
        return _read(said)


@cache
def _read(said: str) -> duckdb.Statement:
    (statement,) = duckdb.extract_statements(said)
    return statement


@contextmanager
def lanes(connection: Backend, parts: int) -> Iterator[list[Backend]]:
    """Connections that work side by side at so many parts: each meets what ``connection`` holds and keeps its own."""
    if parts < LANES:
        yield [connection]
        return
    [(threads,)] = connection.con.execute("SELECT current_setting('threads')").fetchall()
    connection.raw_sql(f"SET threads = {max(1, threads // LANES)}")  # that lanes share cores costs them a tenth
    try:
        with ExitStack() as open_:
            yield [open_.enter_context(_lane(connection, f"lane_{number}")) for number in range(LANES)]
    finally:
        connection.raw_sql(f"SET threads = {threads}")


@contextmanager
def _lane(connection: Backend, schema: str) -> Iterator[Backend]:
    """Another connection to the same database, which keeps its tables in a schema of its own."""
    connection.raw_sql(f"CREATE SCHEMA {schema}")
    lane = ibis.duckdb.from_connection(connection.con.cursor())
    lane.raw_sql("SET TimeZone = 'UTC'")
    lane.raw_sql(f"SET search_path = '{schema},main'")
    try:
        yield lane
    finally:
        lane.disconnect()
        connection.raw_sql(f"DROP SCHEMA {schema} CASCADE")


def sql(expression: Table) -> str:
    """The expression in this engine's words: what is asked of every part is worded once."""
    return str(ibis.to_sql(expression, dialect="duckdb"))


def read_log(connection: Backend, files: list[Path]) -> Table:
    """The events of the files as the view ``log``: what is asked of it is read from Parquet when it is asked."""
    quoted = ", ".join(map(_quoted, files))
    # Ibis would lay a view of the session's own below it, which no lane sees
    connection.raw_sql(
        f"CREATE OR REPLACE VIEW log AS SELECT * EXCLUDE (path), parse_filename(path) AS file "
        f"FROM read_parquet([{quoted}], filename = 'path')"
    )
    return connection.table("log")


def _quoted(path: Path | str) -> str:
    return "'" + str(path).replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Query:
    """A group's expression over tables ``held`` and ``moments``, its SQL for DuckDB, columns, a hash of its meaning."""

    expression: Table
    sql: str
    columns: tuple[str, ...]
    definition: str


@cache
def asked() -> tuple[Table, Table]:
    """The tables that a group's expression asks, ``held`` and ``moments``, of no connection."""
    moments = ibis.table({"subject_id": "int64", "event_timestamp": point_in_time.MOMENT}, name="moments")
    return ibis.table(_versions().schema(), name="held"), moments


def _versions() -> Table:
    return point_in_time.versions(ibis.table(ibis.Schema.from_pyarrow(EVENT_SCHEMA), name="log"))


@cache
def compiled(group: ModuleType) -> Query:
    """The query of a group, compiled once a process. A comment does not change ``definition``, a condition does."""
    expression = group.expression(*asked())
    said = sql(expression)
    reading = said + sql(_versions())
    return Query(expression, said, tuple(expression.columns), hashlib.sha256(reading.encode()).hexdigest()[:16])


def evaluate(connection: Backend, query: Query) -> pa.Table:
    """The rows of a group for the moments that ``connection`` holds."""
    return connection.con.execute(_parsed(query.sql)).to_arrow_table()


def peers(connection: Backend, features: Path, moments: Table, k: int) -> pa.Table:
    """Peer features at each of the moments, searched in this process."""
    return peer_rows.rows(features, moments.to_pyarrow(), k)
