"""DuckDB as the engine of the feature expressions: the event log as tables, time zone UTC, one connection a build.

``log`` is every event of every file with the ``file`` it came from, a view on Parquet; ``held`` are the versions
(``point_in_time.versions``) of whom a build needs, computed once for all groups (``reading``), of everybody in parts
(``parts``) so that memory does not grow with the log. What does not fit lies on disk. Expressions meet only
Ibis tables: another engine is another module with the functions of ``Engine``, such as ``spark``.
"""

from __future__ import annotations

import hashlib
import inspect
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import ibis
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from feature_repo import point_in_time
from models import forecaster, peer_exact, peer_index, peer_states, trajectory
from models import peers as search
from models.schema import EVENT_SCHEMA
from pipelines.features import neighbours
from pipelines.settings import Settings
from pipelines.storage import SPILL

#: Events that a build of everybody works at together: larger parts take more memory, and a long history no less time.
PART = 500_000
#: What a build's tables take in memory; with the libraries a build holds less than 2 GB.
MEMORY = "768MiB"


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

    def evaluate(self, connection: Any, query: Query) -> pa.Table: ...

    def peers(self, connection: Any, features: Path, moments: Table, k: int) -> pa.Table: ...


@contextmanager
def opened(settings: Settings) -> Iterator[Backend]:
    """A connection for one build; what does not fit ``MEMORY`` lies beside the clinic's other files while it lasts."""
    settings.workspace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.workspace, prefix=SPILL) as spill, connect() as connection:
        connection.raw_sql(f"SET memory_limit = '{MEMORY}'")
        connection.raw_sql(f"SET temp_directory = '{spill}'")
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
    said = expression if isinstance(expression, str) else sql(expression)
    connection.raw_sql(f'CREATE OR REPLACE TABLE "{name}" AS {said}')
    return connection.table(name)


def sql(expression: Table) -> str:
    """The expression in this engine's words: what is asked of every part is worded once."""
    return str(ibis.to_sql(expression, dialect="duckdb"))


def read_log(connection: Backend, files: list[Path]) -> Table:
    """The events of the files as the view ``log``: what is asked of it is read from Parquet when it is asked."""
    events = connection.read_parquet([str(f) for f in files], table_name="events", filename="path")
    return connection.create_view("log", events.mutate(file=events.path.split("/")[-1]).drop("path"), overwrite=True)


@dataclass(frozen=True, slots=True)
class Query:
    """A group's expression over tables ``held`` and ``moments``, its SQL for DuckDB, columns, a hash of its meaning."""

    expression: Table
    sql: str
    columns: tuple[str, ...]
    definition: str


@cache
def compiled(group: ModuleType) -> Query:
    """The query of a group, compiled once a process. A comment does not change ``definition``, a condition does."""
    held = point_in_time.versions(ibis.table(ibis.Schema.from_pyarrow(EVENT_SCHEMA), name="log"))
    moments = ibis.table({"subject_id": "int64", "event_timestamp": point_in_time.MOMENT}, name="moments")
    expression = group.expression(ibis.table(held.schema(), name="held"), moments)
    said = sql(expression)
    reading = said + sql(held)
    return Query(expression, said, tuple(expression.columns), hashlib.sha256(reading.encode()).hexdigest()[:16])


def evaluate(connection: Backend, query: Query) -> pa.Table:
    """The rows of a group for the moments that ``connection`` holds."""
    return connection.con.sql(query.sql).to_arrow_table()


def peers(connection: Backend, features: Path, moments: Table, k: int) -> pa.Table:
    """Peer features at each of the moments, searched in this process."""
    return neighbours.rows(features, moments.to_pyarrow(), k)


def definition_of_trajectory(version: str | None) -> str:
    """Hash of what decides trajectory rows: the model's version, and how it reads records and says what it sees."""
    from pipelines.features import foretold
    from pipelines.trajectory import reading

    parts = [*map(inspect.getsource, (trajectory, forecaster, reading, foretold)), str(version)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def definition_of_peers(self_definitions: list[str], k: int) -> str:
    """Hash of what decides peers: the search and its states, k, and the self features they read."""
    parts = [*map(inspect.getsource, (search, peer_exact, peer_index, peer_states)), str(k), *sorted(self_definitions)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
