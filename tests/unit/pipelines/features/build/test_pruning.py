"""Pruning loads all that any group reads, and little else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import ibis
import polars as pl
import pytest
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table
from polars.testing import assert_frame_equal

from feature_repo.point_in_time import KEY, build_versions, select_known, select_repeated_records
from feature_repo.store.services import find_groups
from models.vocabulary import SIGNALS
from pipelines.features.build import as_of_times
from pipelines.features.build.definitions import MODELLED
from pipelines.features.build.pruning import prune_versions
from pipelines.features.engines import duckdb_engine
from pipelines.features.engines.query import compile_group, make_input_tables
from pipelines.features.trajectory import inference
from pipelines.records.log import ledger as records_ledger
from tests.unit.pipelines.features.built import LAST, clinic, patients, write_batch

pytestmark = pytest.mark.filterwarnings("ignore:Arrow output")  # as ``engine.connect``, which one test alone enters

VERSIONS, MOMENTS = make_input_tables()
SELVES = [name for name in find_groups() if name not in MODELLED]
Reader = Callable[[Table, Table], Table]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """The versions of some patients as ``all``, and the days on which their records changed."""
    settings = clinic(tmp_path_factory.mktemp("needed"))
    write_batch(settings, LAST, patients(seed=11, pairs=40))
    with duckdb_engine.connect() as opened:
        log = duckdb_engine.read_log(opened, records_ledger.list_batches(settings))
        duckdb_engine.create_table(opened, "all", build_versions(log.drop("file")))
        recent = as_of_times.select_recent(log, as_of_times.BEGINNING)
        duckdb_engine.create_table(
            opened,
            "moments",
            as_of_times.list_change_days(
                as_of_times.find_record_changes(recent, as_of_times.find_owners(log, select_repeated_records(log)))
            ),
        )
        yield opened


def prune(connection: Backend, *readers: Table) -> pl.DataFrame:
    return prune_versions(connection.table("all"), readers).to_polars()


def everything(connection: Backend) -> pl.DataFrame:
    frame: pl.DataFrame = connection.table("all").to_polars()
    return frame


def rows_of(connection: Backend, versions: Table, name: str) -> pl.DataFrame:
    duckdb_engine.create_table(connection, "held", versions)
    query = compile_group(find_groups()[name])
    return pl.DataFrame(duckdb_engine.evaluate(connection, query)).sort(*KEY)


@pytest.mark.parametrize("name", SELVES)
def test_a_group_says_the_same_of_what_it_needs_as_of_everything(connection: Backend, name: str) -> None:
    versions = connection.table("all")
    needed = prune_versions(versions, [compile_group(find_groups()[name]).expression])
    assert needed.count().execute() < versions.count().execute()
    of_all = rows_of(connection, versions, name)
    assert len(of_all) > 300
    assert_frame_equal(rows_of(connection, needed, name), of_all, check_exact=True)


def test_what_the_trajectory_model_reads_is_kept(connection: Backend) -> None:
    versions, asked = connection.table("all"), connection.table("moments")
    of_all = inference.select_versions(versions, asked).to_polars()
    of_needed = inference.select_versions(
        prune_versions(versions, [inference.select_versions(VERSIONS, MOMENTS)]), asked
    ).to_polars()
    assert set(of_all["kind"]) >= {"observation", "procedure", "question", "patient"}
    assert_frame_equal(of_needed.sort(pl.all()), of_all.sort(pl.all()), check_exact=True)


def test_what_no_group_reads_is_left_out_and_unused_columns_are_null(connection: Backend) -> None:
    left = prune(connection, *(compile_group(find_groups()[name]).expression for name in SELVES))
    assert "SNOMED//5880005" in set(everything(connection)["code"])  # an examination: no birth, no loss
    assert "SNOMED//5880005" not in set(left["code"])
    assert "SNOMED//386216000" in set(left["code"])
    assert left["encounter_id"].null_count() == left["known_at"].null_count() == len(left)
    assert left["source"].null_count() == 0
    assert left.schema == everything(connection).schema


def of_weights(versions: Table) -> Table:
    return versions.filter(versions.kind == "observation", versions.code.isin(SIGNALS[0].codes))


READERS: dict[str, Reader] = {
    "no filter": lambda versions, _: versions.group_by("subject_id").aggregate(n=versions.count()),
    "the table itself": lambda versions, _: versions,
    "a filter here and none there": lambda versions, _: of_weights(versions).union(versions),
    "the newest only": lambda versions, _: versions.filter(
        ibis.row_number().over(group_by=versions.subject_id, order_by=versions.time) == 0, versions.kind == "condition"
    ),
    "those that others refer to": lambda versions, _: versions.filter(versions.record.isin(versions.view().parent)),
    "one side of a join": lambda versions, at: (
        select_known(versions, at, "condition").join(versions, "record").select(*KEY, "code_right")
    ),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
def test_where_a_row_may_matter_by_others_all_are_kept(connection: Backend, reader: Reader) -> None:
    assert len(prune(connection, reader(VERSIONS, MOMENTS))) == len(everything(connection))


ROWWISE: dict[str, tuple[Reader, pl.Expr]] = {
    "a kind": (lambda versions, at: select_known(versions, at, "condition"), pl.col("kind") == "condition"),
    "a code of a kind": (
        lambda versions, at: select_known(versions.filter(versions.code == "MEDS_BIRTH"), at, "patient"),
        pl.col("code") == "MEDS_BIRTH",
    ),
    "a range": (
        lambda versions, _: (
            versions.filter(versions.kind == "rating").filter(versions.numeric_value > 3).select("record")
        ),
        (pl.col("kind") == "rating") & (pl.col("numeric_value") > 3),
    ),
    "nothing": (
        lambda versions, _: versions.filter(versions.kind.isin(["no such kind"])).select("record"),
        pl.lit(False),
    ),
}


@pytest.mark.parametrize(("reader", "wanted"), ROWWISE.values(), ids=ROWWISE.keys())
def test_what_a_filter_lets_through_is_kept_and_nothing_else(
    connection: Backend, reader: Reader, wanted: pl.Expr
) -> None:
    left = prune(connection, reader(VERSIONS, MOMENTS))
    expected = everything(connection).filter(wanted)
    assert sorted(left["record"]) == sorted(expected["record"])
