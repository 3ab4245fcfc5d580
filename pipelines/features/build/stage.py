"""Stage ``features``: bring every feature group's files up to the event log.

1. ``plan_groups``: which event files, and so which as-of times, has each group not built yet?
2. ``find_changed_patients``: whose record do these files change, and on which days? (In a first build: everybody's.)
3. ``load_changed`` or ``plan_partitions``: load their record versions and as-of times.
4. ``write_partitions``: compute each self group's expression, and the trajectory model's forecast, and write a file.
5. ``_write_peers``: search peers last, since they are found by everybody's self features.

Groups are independent: a new one builds its whole history, the others only their night. A night reads what was known by
its end, however much later it runs, so a backfill leaves the files that the night itself would have left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from ibis.expr.types import Table

from feature_repo.point_in_time import KEY
from feature_repo.store.services import find_groups
from pipelines.features.build.as_of_times import BuildSpan, select_due_for_peers
from pipelines.features.build.definitions import PEERS, TRAJECTORY, define_groups
from pipelines.features.build.incremental_plan import (
    ChangedPatients,
    find_changed_patients,
    load_changed,
    plan_partitions,
)
from pipelines.features.build.parallel_build import LoadTables, build_in_parallel
from pipelines.features.engines import feature_files
from pipelines.features.engines.engine import Engine, load_engine
from pipelines.features.engines.feature_files import GroupPlan, NightFile
from pipelines.features.engines.query import MOMENTS, Query, compile_group
from pipelines.features.trajectory import rows as trajectory_rows
from pipelines.night_dates import end_of_night
from pipelines.records.log import event_log
from pipelines.records.log import ledger as records_ledger
from pipelines.runs import StageSummary, stage_run
from pmlm.errors import FeaturesError
from pmlm.settings import Settings
from pmlm.storage import hash_files


def run(settings: Settings, night: str) -> StageSummary:
    """Bring every group up to what was known by the end of the night; ``noop`` where all are.

    Later nights built before are brought up too, in order. Rows in are new events, rows out feature rows over all
    groups. Raises ``FeaturesError`` where a group's expression and view disagree.
    """
    # a batch that no ledger lists was left by a killed import
    known = event_log.find_known_nights(sorted(records_ledger.list_batches(settings)))
    with stage_run(settings, night, "features") as summary:
        summary.status, summary.detail = "noop", "every event known by this night is in the features already"
        for each in [night, *_list_later_nights(settings, night)]:
            plans = plan_groups(settings, each, {path.name: by for path, by in known.items()})
            if plans:
                summary.status, summary.detail = "done", ""
                build_groups(settings, [path for path, by in known.items() if by <= each], plans, summary)
        if settings.features.exists():
            summary.hashes = {"features": hash_files([settings.features])}
    return summary


def _list_later_nights(settings: Settings, night: str) -> list[str]:
    found = {feature_files.read_night(path) for path in settings.features.glob("*/*.parquet")}
    return sorted(later for later in found if later > night)


def plan_groups(settings: Settings, night: str, known: Mapping[str, str]) -> dict[str, GroupPlan]:
    """Plan what each group has to build, peers last; complete groups are left out.

    ``known`` as in ``feature_files.plan_group``.
    """
    plans = {}
    for name, definition in define_groups(settings).items():
        plan = feature_files.plan_group(settings.features / name, night, definition, known)
        if plan:
            plans[name] = plan
    return plans


def build_groups(settings: Settings, files: list[Path], plans: dict[str, GroupPlan], summary: StageSummary) -> None:
    """Build a night's planned groups from the event ``files`` known by it; add figures to the summary."""
    written: Counter[str] = Counter()
    engine = load_engine(settings)
    with engine.open_connection(settings) as connection:
        log = engine.read_log(connection, files)
        for planned in _group_by_work(plans):
            selves = {name: plan for name, plan in planned.items() if name != PEERS}
            plan = next(iter(planned.values()))
            span, expressions = BuildSpan.from_plan(plan), _list_expressions(settings, selves)
            if selves and plan.last is None:
                loads = plan_partitions(engine, connection, log, span, expressions)
                written.update(write_partitions(settings, engine, connection, selves, loads))
                continue
            changed = find_changed_patients(engine, connection, log, files, plan.fresh, span)
            if selves:
                load = partial(load_changed, engine, log=log, changed=changed, span=span, expressions=expressions)
                written.update(write_partitions(settings, engine, connection, selves, [load]))
            if PEERS in planned:
                nights = sorted({f.name[:8] for f in files})
                moments = _select_peer_moments(log, changed, span, nights)
                written[PEERS] += _write_peers(settings, engine, connection, planned[PEERS], moments)
    fresh = {name for plan in plans.values() for name in plan.fresh}
    summary.rows_in += sum(pq.read_metadata(f).num_rows for f in files if f.name in fresh)
    summary.figures = dict(Counter(summary.figures) + written)
    summary.rows_out += written.total()


def _group_by_work(plans: Mapping[str, GroupPlan]) -> list[dict[str, GroupPlan]]:
    """Group the plans by equal work, peers last and apart in a first build."""
    by_work: dict[Any, dict[str, GroupPlan]] = {}
    for name, plan in plans.items():
        apart = name == PEERS and plan.last is None
        by_work.setdefault((plan.fresh, plan.last, apart), {})[name] = plan
    return sorted(by_work.values(), key=lambda planned: PEERS in planned)


def _list_expressions(settings: Settings, names: Collection[str]) -> list[Table]:
    """List what the groups and the trajectory model read of the record versions."""
    by_model = trajectory_rows.list_inputs(settings) if TRAJECTORY in names else []
    return [_compile_query(name).expression for name in names if name != TRAJECTORY] + by_model


def write_partitions(
    settings: Settings, engine: Engine, connection: Any, plans: Mapping[str, GroupPlan], loads: Sequence[LoadTables]
) -> dict[str, int]:
    """Write the night's files of self groups, partition by partition; return rows per group.

    The files appear together, when all rows are written.
    """
    written = dict.fromkeys(plans, 0)

    def compute(worker: Any, name: str) -> Any:
        if name == TRAJECTORY:
            return trajectory_rows.compute_rows(settings, engine, worker)
        return engine.evaluate(worker, _compile_query(name))

    with ExitStack() as stack:
        files = {
            name: stack.enter_context(engine.open_file(settings, _place_rows(settings, plan)))
            for name, plan in plans.items()
        }

        def write(name: str, rows: Any) -> None:
            written[name] += files[name](rows)

        with engine.open_workers(connection, len(loads)) as workers:
            build_in_parallel(workers, loads, plans, compute, write)
    return written


def _select_peer_moments(log: Table, changed: ChangedPatients, span: BuildSpan, nights: Sequence[str]) -> Table:
    ends = [night for night in nights if changed.since <= end_of_night(night) <= span.end]
    return select_due_for_peers(log, changed.days, changed.earliest, span, ends)


def _write_peers(settings: Settings, engine: Engine, connection: Any, plan: GroupPlan, moments: Table) -> int:
    """Search peers at the as-of times, write the night's file, and return its rows."""
    moments = engine.create_table(connection, MOMENTS, moments)
    k, rule = settings.k_anonymity, settings.currency_rule
    with engine.open_file(settings, _place_rows(settings, plan)) as write:
        return write(engine.find_peers(connection, settings.features, moments, k, rule))


def _compile_query(name: str) -> Query:
    """Compile a group; ``FeaturesError`` where its expression and view disagree on the columns."""
    module = find_groups()[name]
    query = compile_group(module)
    declared = {*KEY, *(field.name for field in module.view.features)}
    if declared != set(query.columns):
        odd = sorted(declared ^ set(query.columns))
        raise FeaturesError(f"feature_repo/groups/{name}.py: expression and view disagree on {odd}")
    return query


def _place_rows(settings: Settings, plan: GroupPlan) -> NightFile:
    """The file of a group's rows, with the columns of its view in order."""
    columns = (*KEY, *(field.name for field in find_groups()[plan.group].view.features))
    return NightFile(settings.features / plan.group, plan.origin, columns)
