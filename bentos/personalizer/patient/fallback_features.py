"""Compute pinned facts from the event log while the feature store is down.

Allergies and pregnancy come from the expressions that the nightly features are built with
(``feature_repo.groups.medicines``, ``feature_repo.groups.pregnancy``), run by DuckDB over one patient's events;
every other feature is left unknown. Tens of milliseconds, and no server is asked.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from feature_repo.store.rows import cast_row
from models.schema import EVENT_SCHEMA, TIMESTAMP, FeatureRow

_KEY = frozenset({"subject_id", "event_timestamp"})


def read_pinned_row(folder: Path, subject: int, as_of: datetime) -> FeatureRow | None:
    """Allergies and pregnancy as known at ``as_of``; None where the log knows no such patient."""
    import duckdb

    files = sorted(folder.glob("*.parquet"))
    if not files:
        return None
    events = ds.dataset(files, schema=EVENT_SCHEMA, format="parquet").to_table(filter=ds.field("subject_id") == subject)
    if not events.num_rows:
        return None
    schema = pa.schema([("subject_id", pa.int64()), ("event_timestamp", TIMESTAMP)])
    as_of_times = pa.Table.from_pylist(
        [{"subject_id": subject, "event_timestamp": as_of.replace(microsecond=0)}], schema
    )
    found: dict[str, Any] = {"as_of": as_of}  # there is a record: what it lacks is absent, not unknown
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("log", events)
        connection.register("moments", as_of_times)
        versions, queries = _statements()
        connection.execute(versions)
        for query in queries:
            (row,) = connection.sql(query).to_arrow_table().to_pylist()
            found |= {name: value for name, value in row.items() if name not in _KEY and _is_pinned(name)}
    return cast_row(found)


def _is_pinned(name: str) -> bool:
    return not name.startswith("medicine_")


@cache
def _statements() -> tuple[str, tuple[str, ...]]:
    """SQL that makes the table ``held`` of ``log``, and the groups behind pinned sentences.

    The names ``held`` and ``moments`` are those of every feature expression (a group's definition hashes its SQL).
    """
    import ibis

    from feature_repo import point_in_time
    from feature_repo.groups import medicines, pregnancy

    versions = point_in_time.build_versions(ibis.table(ibis.Schema.from_pyarrow(EVENT_SCHEMA), name="log"))
    facts = ibis.table(versions.schema(), name="held")
    moments = ibis.table({"subject_id": "int64", "event_timestamp": point_in_time.MOMENT}, name="moments")
    queries = tuple(str(ibis.to_sql(g.expression(facts, moments), dialect="duckdb")) for g in (medicines, pregnancy))
    return f"CREATE TABLE held AS {ibis.to_sql(versions, dialect='duckdb')}", queries
