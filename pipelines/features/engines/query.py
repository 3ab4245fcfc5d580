"""Compile a feature group's expression to SQL, whose hash defines the group."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import ibis
from ibis.expr.types import Table

from feature_repo import point_in_time
from models.schema import EVENT_SCHEMA
from pipelines.features.engines.duckdb_engine import to_sql

#: The tables that an expression reads, by name. A definition hashes them with the SQL, so they stay as they are.
VERSIONS, MOMENTS = "held", "moments"


@dataclass(frozen=True, slots=True)
class Query:
    """A group's expression, its SQL for DuckDB, its columns, a hash of its meaning."""

    expression: Table
    sql: str
    columns: tuple[str, ...]
    definition: str


@cache
def make_input_tables(reads_undated: bool = True) -> tuple[Table, Table]:
    """Return the tables that an expression reads (record versions, as-of times), bound to no connection.

    What does not read which events have no date keeps the SQL, hence the definition, that it had without that column.
    """
    moments = ibis.table({"subject_id": "int64", "event_timestamp": point_in_time.MOMENT}, name=MOMENTS)
    return ibis.table(_build_log_versions(reads_undated).schema(), name=VERSIONS), moments


def _build_log_versions(reads_undated: bool) -> Table:
    log = ibis.table(ibis.Schema.from_pyarrow(EVENT_SCHEMA), name="log")
    return point_in_time.build_versions(log, mark_undated=reads_undated)


@cache
def compile_group(group: ModuleType) -> Query:
    """Compile a group, once per process. A comment does not change ``definition``, a condition does."""
    reads_undated = getattr(group, "READS_UNDATED", False)
    expression = group.expression(*make_input_tables(reads_undated))
    sql = to_sql(expression)
    meaning = sql + to_sql(_build_log_versions(reads_undated))
    return Query(expression, sql, tuple(expression.columns), hashlib.sha256(meaning.encode()).hexdigest()[:16])
