"""The feature build of one night: new moments of changed patients, each group's expression over them, what the
trajectory model says at them, then peers.

A group takes in the event files it has not seen (``ledger``), works out the moments they make due (``moments``),
computes its expression on DuckDB or Spark (``engine``, ``spark``) and adds one sorted file. Groups are independent: a
new one builds its whole history once, part by part of the patients (``parts``), the others only their night. Peers
come last, since they read everybody's self features (``neighbours``; on Spark ``blocks``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from ibis.expr.types import Table

from feature_repo.point_in_time import KEY
from feature_repo.store.services import groups
from pipelines.features.build.as_of_times import Span, due_for_peers
from pipelines.features.build.definitions import PEERS, TRAJECTORY, current_definitions
from pipelines.features.build.incremental_plan import everybody, hold, news
from pipelines.features.build.parallel_build import Holding, work
from pipelines.features.engines import duckdb_engine as duckdb
from pipelines.features.engines import feature_files
from pipelines.features.engines.duckdb_engine import Engine, Query, compiled
from pipelines.features.trajectory import rows as trajectory_rows
from pipelines.night_dates import end_of_night
from pipelines.records.log import ledger as records_ledger
from pipelines.runs import StageSummary, stage_run
from pmlm.errors import FeaturesError
from pmlm.settings import Settings
from pmlm.storage import hash_files


def run(settings: Settings, night: str) -> StageSummary:
    """Bring every group up to the event log; ``noop`` where all of it was taken in before.

    Rows in are events not seen before, rows out feature rows over all groups. Raises ``FeaturesError`` where a
    group's expression and view disagree.
    """
    files = sorted(
        records_ledger.list_batches(settings)
    )  # a batch that no ledger lists is the trace of a killed import
    with stage_run(settings, night, "features") as summary:
        plans = planned(settings, night, [f.name for f in files])
        if not plans:
            summary.status, summary.detail = "noop", "every event is in the features already"
        else:
            build(settings, files, plans, summary)
        if settings.features.exists():
            summary.hashes = {"features": hash_files([settings.features])}
    return summary


def planned(settings: Settings, night: str, events: list[str]) -> dict[str, feature_files.Plan]:
    """What each group has to do, peers last; groups with nothing to do are left out."""
    plans = {}
    for name, definition in current_definitions(settings).items():
        plan = feature_files.plan(settings.features / name, night, definition, events)
        if plan:
            plans[name] = plan
    return plans


def build(settings: Settings, files: list[Path], plans: dict[str, feature_files.Plan], summary: StageSummary) -> None:
    """Do what is ``planned`` over the event ``files``; the summary is told the rows in and out."""
    engine = engine_of(settings)
    with engine.opened(settings) as connection:
        log = engine.read_log(connection, files)
        for names in _alike(plans):
            selves = {name: plans[name] for name in names if name != PEERS}
            plan = plans[names[0]]
            span, readers = Span.of(plan), _readers(settings, selves)
            if selves and plan.last is None:
                parts = everybody(engine, connection, log, span, readers)
                summary.figures |= write_parts(settings, engine, connection, selves, parts)
                continue
            found = news(engine, connection, log, files, plan.fresh, span)
            if selves:
                news_of = partial(hold, engine, log=log, found=found, span=span, readers=readers)
                summary.figures |= write_parts(settings, engine, connection, selves, [news_of])
            if PEERS in names:
                nights = sorted({f.name[:8] for f in files if found.since <= end_of_night(f.name[:8]) <= span.end})
                moments = due_for_peers(log, found.days, found.touched, span, nights)
                moments = engine.keep(connection, "moments", moments)
                table = engine.peers(connection, settings.features, moments, settings.k_anonymity)
                feature_files.write(
                    settings.features / PEERS, plans[PEERS].origin, _finished(PEERS, table, plans[PEERS])
                )
                summary.figures[PEERS] = table.num_rows
    fresh = {name for plan in plans.values() for name in plan.fresh}
    summary.rows_in = sum(pq.read_metadata(f).num_rows for f in files if f.name in fresh)
    summary.rows_out = sum(summary.figures.values())


def write_parts(
    settings: Settings, engine: Engine, connection: Any, plans: dict[str, feature_files.Plan], parts: Sequence[Holding]
) -> dict[str, int]:
    """Write the night's file of self groups: of each of the ``parts`` in turn, the rows of what it holds.

    The files are put in place together, when all is written. How many rows each group has.
    """
    written = dict.fromkeys(plans, 0)

    def rows(lane: Any, name: str) -> pa.Table:
        return _finished(name, _rows(settings, engine, lane, name), plans[name])

    with ExitStack() as open_:
        files: dict[str, pq.ParquetWriter] = {}

        def write(name: str, table: pa.Table) -> None:
            if name not in files:
                file = feature_files.written(settings.features / name, plans[name].origin, table.schema)
                files[name] = open_.enter_context(file)
            files[name].write_table(table)
            written[name] += table.num_rows

        with engine.lanes(connection, len(parts)) as lanes:
            work(lanes, parts, plans, rows, write)
    return written


def _readers(settings: Settings, names: Collection[str]) -> list[Table]:
    """What the groups ask of the versions held."""
    by_model = trajectory_rows.reads(settings) if TRAJECTORY in names else []
    return [_query(name).expression for name in names if name != TRAJECTORY] + by_model


def _rows(settings: Settings, engine: Engine, connection: Any, name: str) -> pa.Table:
    """The rows of a self group for the moments that ``connection`` holds."""
    if name == TRAJECTORY:
        return trajectory_rows.rows(settings, connection)
    return engine.evaluate(connection, _query(name))


def _alike(plans: dict[str, feature_files.Plan]) -> list[list[str]]:
    """The groups by what they have to do, on most nights all the same; peers come last, after a first build alone."""
    by_work: dict[Any, list[str]] = {}
    for name, plan in plans.items():
        alone = name == PEERS and plan.last is None
        by_work.setdefault((plan.fresh, plan.last, plan.horizon, alone), []).append(name)
    return sorted(by_work.values(), key=lambda names: PEERS in names)


def engine_of(settings: Settings) -> Engine:
    """The engine that ``PMLM_ENGINE`` names; Spark is imported only where it is asked for."""
    if settings.engine == "spark":
        from pipelines.features.engines import spark_engine

        return spark_engine
    return duckdb


def _query(name: str) -> Query:
    """The group's query; ``FeaturesError`` where it and the view disagree on the columns."""
    module = groups()[name]
    query = compiled(module)
    stated = {*KEY, *(field.name for field in module.view.features)}
    if stated != set(query.columns):
        odd = sorted(stated ^ set(query.columns))
        raise FeaturesError(f"feature_repo/{name}.py: expression and view disagree on {odd}")
    return query


def _finished(name: str, table: pa.Table, plan: feature_files.Plan) -> pa.Table:
    """Columns in the view's order, rows by patient and time, and the moment the rows count as made."""
    names = [*KEY, *(field.name for field in groups()[name].view.features)]
    table = table.select(names).sort_by([(column, "ascending") for column in KEY])
    created = pa.array([plan.created] * table.num_rows, pa.timestamp("us", tz="UTC"))
    return table.append_column("created_timestamp", created).combine_chunks()
