"""Plan what a build reads of the event log: changed patients, or all partitions.

A group's first build reads everything. A night reads narrow columns of the whole log to find whose record changed, and
whole events of those patients only, so that its cost follows the changes, not the clinic. The rows are the same, since
a patient's features depend on the versions of their records alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import ibis
import polars as pl
from ibis.expr.types import Table

from feature_repo.point_in_time import build_versions, select_repeated_records
from pipelines.features.build.as_of_times import (
    BEGINNING,
    BuildSpan,
    find_earliest_change,
    find_owners,
    find_record_changes,
    list_change_days,
    select_due,
    select_recent,
    select_until,
)
from pipelines.features.build.parallel_build import LoadTables
from pipelines.features.build.partitions import (
    ALL_PATIENTS,
    Partition,
    find_patient_ranges,
    select_partition_events,
    select_records_in,
    select_refiled_events,
    split_patients,
)
from pipelines.features.build.pruning import prune_versions
from pipelines.features.engines.engine import Engine
from pipelines.features.engines.query import MOMENTS, VERSIONS


@dataclass(frozen=True, slots=True)
class ChangedPatients:
    """Whose record the ``fresh`` event files and the passing of time change, and when.

    ``days`` has ``KEY`` of the days on which a record changed, ``earliest`` per patient since when the fresh files
    change it; ``since`` is the earliest time of all.
    """

    since: datetime
    days: Table
    earliest: Table


def find_changed_patients(
    engine: Engine, connection: Any, log: Table, files: list[Path], fresh: tuple[str, ...], span: BuildSpan
) -> ChangedPatients:
    """Create the tables ``recent``, ``repeated``, ``owners`` and ``days``; find the change dates."""
    since = min(span.last, _find_earliest([f for f in files if f.name in fresh]))
    if span.last == BEGINNING:
        recent, events = select_recent(log, since), log
    else:
        recent = engine.create_table(connection, "recent", select_recent(log, since))
        events = log.semi_join(recent, "record")
    repeated = engine.create_table(connection, "repeated", select_repeated_records(events))
    changes = find_record_changes(recent, engine.create_table(connection, "owners", find_owners(events, repeated)))
    days = engine.create_table(connection, "days", list_change_days(changes))
    return ChangedPatients(since, days, find_earliest_change(changes, fresh))


def load_changed(
    engine: Engine, connection: Any, log: Table, changed: ChangedPatients, span: BuildSpan, expressions: Sequence[Table]
) -> None:
    """Create the tables of a night's as-of times and of these patients' record versions.

    ``expressions`` are those that will read the versions: the others are left out (``pruning``).
    """
    moments = engine.create_table(connection, MOMENTS, select_due(changed.days, changed.earliest, span))
    events = log.drop("file")
    records = events.semi_join(moments, "subject_id").select("record").distinct()
    records = engine.create_table(connection, "records", records)
    # a record of these patients may have been another patient's before, or become one's
    versions = build_versions(engine.create_table(connection, "events", events.semi_join(records, "record")))
    engine.create_table(connection, VERSIONS, prune_versions(versions, expressions).semi_join(moments, "subject_id"))


def plan_partitions(
    engine: Engine, connection: Any, log: Table, span: BuildSpan, expressions: Sequence[Table]
) -> list[LoadTables]:
    """Return what loads each partition: its patients' as-of times and record versions.

    ``expressions`` as in ``load_changed``.
    """
    work = engine.PARTITION_WORK
    partitions = [ALL_PATIENTS] if work is None else split_patients(log, work)
    repeated = engine.create_table(connection, "repeated", select_repeated_records(log))
    ranges = engine.create_table(connection, "ranges", find_patient_ranges(log, repeated))
    refiled = None
    if len(partitions) > 1:
        refiled = engine.create_table(connection, "refiled", select_refiled_events(log, ranges))
        if not refiled.count().to_pyarrow().as_py():
            refiled = None
    tables = _compile_partition(engine, log, span, expressions)
    return [
        partial(
            _load_partition,
            engine,
            select_partition_events(log, refiled, partition),
            select_records_in(ranges, partition),
            tables,
            partition,
        )
        for partition in partitions
    ]


def _load_partition(
    engine: Engine, events: Table, repeated: Table, tables: dict[str, str], partition: Partition, connection: Any
) -> None:
    engine.create_view(connection, "part", events)
    engine.create_table(connection, "repeated", repeated)
    for name, sql in tables.items():
        engine.create_table(connection, name, sql)
    # refiled records bring days of other patients, who are not of this partition
    engine.create_table(connection, MOMENTS, partition.select(connection.table("days")))


def _compile_partition(engine: Engine, log: Table, span: BuildSpan, expressions: Sequence[Table]) -> dict[str, str]:
    """Compile once the SQL of the tables that every partition makes, in order."""
    part, repeated = ibis.table(log.schema(), name="part"), ibis.table({"record": "int64"}, name="repeated")
    owners = ibis.table(find_owners(part, repeated).schema(), name="owners")
    changes = find_record_changes(select_recent(part, BEGINNING), owners)
    tables = {
        "owners": find_owners(part, repeated),
        "days": select_until(list_change_days(changes), span.end),
        VERSIONS: prune_versions(build_versions(part.drop("file"), repeated), expressions),
    }
    return {name: engine.to_sql(table) for name, table in tables.items()}


def _find_earliest(files: list[Path]) -> datetime:
    """Find when the first event of these files became known."""
    first: datetime = pl.scan_parquet(files).select(pl.col("known_at").min()).collect().item()
    return first
