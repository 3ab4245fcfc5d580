"""Run the feature expressions over a small log on DuckDB, as rows in plain Python."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import ibis
import pyarrow as pa
from ibis.expr.types import Table

from feature_repo import point_in_time
from feature_repo.store.rows import cast_row
from feature_repo.store.services import find_groups, list_features
from models.schema import EVENT_SCHEMA
from pipelines.features.engines.duckdb_engine import connect
from tests.unit.pipelines.features.histories import Event, log_of

Row = dict[str, Any]
Moment = tuple[int, dt.datetime]

#: Features that no expression computes.
PEERS = frozenset(field.name for name in ("peers", "trajectory") for field in find_groups()[name].view.features)


class Expressions:
    """Every group's SQL over ``log`` and ``moments``, by a given way to build versions."""

    def __init__(self, versions: Callable[[Table], Table] = point_in_time.build_versions) -> None:
        log = ibis.table(ibis.Schema.from_pyarrow(EVENT_SCHEMA), name="log")
        moments = ibis.table({"subject_id": "int64", "event_timestamp": point_in_time.MOMENT}, name="moments")
        record_versions = versions(log)
        self._queries = [
            ibis.to_sql(module.expression(record_versions, moments), dialect="duckdb")
            for module in find_groups().values()
            if hasattr(module, "expression")
        ]

    def rows(self, events: list[Event], asked: list[Moment]) -> dict[Moment, Row]:
        """Every self feature of every patient and moment asked for."""
        moments = pa.table(
            {
                "subject_id": pa.array([s for s, _ in asked], pa.int64()),
                "event_timestamp": pa.array([t for _, t in asked], pa.timestamp("us", tz="UTC")),
            }
        )
        found: dict[Moment, Row] = {key: {} for key in asked}
        with connect() as connection:
            connection.con.register("log", log_of(events))
            connection.con.register("moments", moments)
            for query in self._queries:
                for row in connection.con.sql(query).to_arrow_table().to_pylist():
                    found[row.pop("subject_id"), row.pop("event_timestamp")] |= row
        return {key: dict(cast_row(row)) for key, row in found.items()}


def differences(got: Row, expected: Row) -> dict[str, tuple[Any, Any]]:
    """Find the self features that differ, numbers by more than one part in a billion."""
    return {
        name: (got[name], expected[name])
        for name in list_features()
        if name not in PEERS and not _equal(got[name], expected[name])
    }


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return type(a) is type(b) and bool(a == b)
