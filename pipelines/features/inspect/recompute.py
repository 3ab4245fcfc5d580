"""Compute some patients' newest rows anew from the event log and compare them with the rows that the files hold."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from feature_repo.point_in_time import KEY, build_versions
from feature_repo.store.services import find_groups
from pipelines.features.build.definitions import MODELLED
from pipelines.features.engines import feature_files
from pipelines.features.engines.duckdb_engine import connect, create_table, evaluate, read_log
from pipelines.features.engines.query import compile_group
from pipelines.records.log import ledger as records_ledger
from pmlm.settings import Settings


def count_differences(settings: Settings, patients: Sequence[int]) -> dict[str, int]:
    """For each self group the number of patients whose newest row is not what the log says of its moment."""
    found = {}
    with connect() as connection:
        log = read_log(connection, records_ledger.list_batches(settings))
        create_table(connection, "held", build_versions(log.drop("file")))
        for name, module in find_groups().items():
            if name in MODELLED:
                continue
            rows = feature_files.scan_rows(settings.features / name).filter(pl.col(KEY[0]).is_in(list(patients)))
            held = rows.sort(*KEY).unique(KEY[0], keep="last").drop("created_timestamp").sort(*KEY).collect()
            connection.con.register("asked", held.select(KEY).to_arrow())
            create_table(connection, "moments", connection.table("asked"))
            anew = pl.DataFrame(evaluate(connection, compile_group(module))).select(held.columns).sort(*KEY)
            differing = _count_unequal(held, anew)
            if differing:
                found[name] = differing
    return found


def _count_unequal(held: pl.DataFrame, anew: pl.DataFrame) -> int:
    """Rows that are not equal; the engine gives a row the same bits however often it computes it."""
    if held.height != anew.height:
        return max(held.height, anew.height)
    unequal = [~held[name].eq_missing(anew[name].cast(held.schema[name])) for name in held.columns]
    return int(
        pl.DataFrame({str(i): column for i, column in enumerate(unequal)}).select(pl.any_horizontal("*")).sum().item()
    )
