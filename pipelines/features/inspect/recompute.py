"""Compares rows computed again from the event log with the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from feature_repo.point_in_time import KEY, build_versions, select_repeated_records
from feature_repo.store.services import find_groups
from pipelines.features.build.as_of_times import (
    BEGINNING,
    find_owners,
    find_record_changes,
    list_change_days,
    select_recent,
)
from pipelines.features.build.definitions import MODELLED
from pipelines.features.engines import feature_files
from pipelines.features.engines.duckdb_engine import connect, create_table, evaluate, read_log
from pipelines.features.engines.query import MOMENTS, VERSIONS, compile_group
from pipelines.night_dates import end_of_night
from pipelines.records.log import ledger as records_ledger
from pmlm.settings import Settings


def count_differences(settings: Settings, patients: Sequence[int]) -> dict[str, int]:
    """Count, per self group, the patients whose newest row differs from the log's."""
    found = {}
    with connect() as connection:
        log = read_log(connection, _list_present(settings))
        create_table(connection, VERSIONS, build_versions(log.drop("file")))
        for name, module in find_groups().items():
            if name in MODELLED:
                continue
            rows = feature_files.scan_rows(settings.features / name).filter(pl.col(KEY[0]).is_in(list(patients)))
            stored = rows.sort(*KEY).unique(KEY[0], keep="last").drop("created_timestamp").sort(*KEY).collect()
            connection.con.register("asked", stored.select(KEY).to_arrow())
            create_table(connection, MOMENTS, connection.table("asked"))
            computed = pl.DataFrame(evaluate(connection, compile_group(module))).select(stored.columns).sort(*KEY)
            differing = _count_unequal(stored, computed)
            if differing:
                found[name] = differing
    return found


def count_missing_days(settings: Settings, patients: Sequence[int]) -> dict[str, int]:
    """Count, per group, the days up to its last night that changed a patient's record and have no row."""
    with connect() as connection:
        log = read_log(connection, _list_present(settings))
        owners = find_owners(log, select_repeated_records(log))
        days = list_change_days(find_record_changes(select_recent(log, BEGINNING), owners))
        days = days.filter(days.subject_id.isin(list(patients)))
        changed = days.to_polars().with_columns(pl.col(KEY[1]).cast(pl.Datetime("us", "UTC")))
    last = max(map(feature_files.read_night, settings.features.glob("*/*.parquet")), default="")
    found = {}
    for name in find_groups():
        keys = pl.scan_parquet(settings.features / name / "*.parquet").select(KEY).collect()
        due = changed.filter(pl.col(KEY[1]) <= end_of_night(last))
        missing = due.join(keys, on=KEY, how="anti").height
        if missing:
            found[name] = missing
    return found


def _list_present(settings: Settings) -> list[Path]:
    """List the log's batches but those whose file is lost, which the check of completeness reports."""
    return [path for path in records_ledger.list_batches(settings) if path.exists()]


def _count_unequal(stored: pl.DataFrame, computed: pl.DataFrame) -> int:
    """Count the rows that differ in any bit, as recomputed rows never should."""
    if stored.height != computed.height:
        return max(stored.height, computed.height)
    unequal = [~stored[name].eq_missing(computed[name].cast(stored.schema[name])) for name in stored.columns]
    return int(
        pl.DataFrame({str(i): column for i, column in enumerate(unequal)}).select(pl.any_horizontal("*")).sum().item()
    )
