"""Compute patients' newest rows again from the event log, and compare them with the files."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from feature_repo.point_in_time import KEY, build_versions
from feature_repo.store.services import find_groups
from pipelines.features.build.definitions import MODELLED
from pipelines.features.engines import feature_files
from pipelines.features.engines.duckdb_engine import connect, create_table, evaluate, read_log
from pipelines.features.engines.query import MOMENTS, VERSIONS, compile_group
from pipelines.records.log import ledger as records_ledger
from pmlm.settings import Settings


def count_differences(settings: Settings, patients: Sequence[int]) -> dict[str, int]:
    """Count, per self group, the patients whose newest row differs from the log's."""
    found = {}
    with connect() as connection:
        log = read_log(connection, records_ledger.list_batches(settings))
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


def _count_unequal(stored: pl.DataFrame, computed: pl.DataFrame) -> int:
    """Count the rows that differ in any bit, as recomputed rows never should."""
    if stored.height != computed.height:
        return max(stored.height, computed.height)
    unequal = [~stored[name].eq_missing(computed[name].cast(stored.schema[name])) for name in stored.columns]
    return int(
        pl.DataFrame({str(i): column for i, column in enumerate(unequal)}).select(pl.any_horizontal("*")).sum().item()
    )
