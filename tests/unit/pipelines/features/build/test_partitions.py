"""A first build by partitions gives the rows of one build, and whole files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from feature_repo.store.services import find_groups
from pipelines.features.build import stage
from pipelines.features.build.as_of_times import BEGINNING, BuildSpan
from pipelines.features.build.incremental_plan import plan_partitions
from pipelines.features.build.partitions import split_patients
from pipelines.features.engines import duckdb_engine
from pipelines.features.engines.query import make_input_tables
from pipelines.night_dates import end_of_night
from pipelines.records.log import ledger as records_ledger
from pmlm.settings import Settings
from pmlm.storage import hash_files
from tests.unit.pipelines.features.built import LAST, all_rows, clinic, known_on, patients, write_batch
from tests.unit.pipelines.features.histories import Event, history

FEW = hypothesis_settings(
    max_examples=hypothesis_settings.default.max_examples // 10, deadline=None, suppress_health_check=list(HealthCheck)
)
SUBJECTS = [7, -(2**62), 2, 3, 70, 2**62]  # any of whom a record may be filed under next


def with_log(folder: Path, events: list[Event]) -> Settings:
    settings, events = clinic(folder), known_on(events, None, LAST)
    write_batch(settings, LAST, events[::2], "a")
    write_batch(settings, LAST, events[1::2], "b")
    return settings


def load_all(settings: Settings, most: int) -> tuple[int, pl.DataFrame, pl.DataFrame]:
    """Load all partitions; return their number, as-of times and record versions."""
    span = BuildSpan(BEGINNING, end_of_night(LAST))
    moments, versions = [], []
    with pytest.MonkeyPatch.context() as patch, duckdb_engine.open_connection(settings) as connection:
        patch.setattr(duckdb_engine, "PARTITION_WORK", most)
        log = duckdb_engine.read_log(connection, records_ledger.list_batches(settings))
        for load in plan_partitions(duckdb_engine, connection, log, span, [make_input_tables()[0]]):
            load(connection)
            moments.append(connection.table("moments").to_polars())
            whose = moments[-1]["subject_id"].implode()
            versions.append(connection.table("held").to_polars().filter(pl.col("subject_id").is_in(whose)))
    in_order = [pl.concat(frames).sort(pl.all()) for frames in (moments, versions)]
    return len(moments), in_order[0], in_order[1]


@FEW
@given(random=st.randoms(use_true_random=False), records=st.integers(1, 30), most=st.integers(1, 40))
def test_parts_hold_what_one_build_over_all_holds(
    tmp_path_factory: pytest.TempPathFactory, random: Random, records: int, most: int
) -> None:
    settings = with_log(tmp_path_factory.mktemp("log"), history(random, SUBJECTS, records))
    _, moments, versions = load_all(settings, most)
    whole, all_moments, all_versions = load_all(settings, 10**6)
    assert whole == 1
    assert_frame_equal(moments, all_moments)
    assert_frame_equal(versions, all_versions)


def test_every_patient_is_in_one_part_and_parts_are_in_order(tmp_path: Path) -> None:
    settings = with_log(tmp_path, patients(seed=2, pairs=12))
    with duckdb_engine.connect() as connection:
        log = duckdb_engine.read_log(connection, records_ledger.list_batches(settings))
        partitions = split_patients(log, 100)
        events = [partition.select(log).count().execute() for partition in partitions]
        assert sum(events) == log.count().execute()
    assert len(partitions) > 4
    assert max(events) < 200
    assert all(one.last < next_.first for one, next_ in pairwise(partitions))


@pytest.fixture(scope="module")
def refiled() -> list[Event]:
    """Histories of patients of whom any may have a fact filed under any other."""
    return history(Random(5), [*SUBJECTS, *range(100, 120)], 400)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, refiled: list[Event]) -> Settings:
    settings = with_log(tmp_path_factory.mktemp("whole"), refiled)
    stage.run(settings, LAST)
    return settings


def test_every_group_has_the_rows_of_one_build_sorted_by_patient_and_time(
    tmp_path: Path, refiled: list[Event], whole: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_engine, "PARTITION_WORK", 50)
    settings = with_log(tmp_path, refiled)
    stage.run(settings, LAST)
    one, other = all_rows(settings), all_rows(whole)
    for name in find_groups():
        assert_frame_equal(one[name], other[name], check_exact=True)
        keys = pl.read_parquet(settings.features / name / "*.parquet", columns=["subject_id", "event_timestamp"])
        assert keys.equals(keys.sort(pl.all()))
    assert len(one["vitals"]) > 200


def test_a_folder_may_have_any_name(tmp_path: Path, refiled: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_engine, "PARTITION_WORK", 200)
    settings = with_log(tmp_path / "St. Mary's, ward 3", refiled)
    assert stage.run(settings, LAST).status == "done"


def test_a_build_killed_between_parts_leaves_nothing_and_a_rerun_the_same(
    tmp_path: Path, refiled: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_engine, "PARTITION_WORK", 200)
    killed, untroubled = with_log(tmp_path / "killed", refiled), with_log(tmp_path / "untroubled", refiled)
    evaluate, calls = duckdb_engine.evaluate, []

    def dying(*args: object) -> object:
        calls.append(args)
        if len(calls) == 13:  # some way into the second part
            raise KeyboardInterrupt
        return evaluate(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(duckdb_engine, "evaluate", dying)
        with pytest.raises(KeyboardInterrupt):
            stage.run(killed, LAST)
    assert [path for path in killed.features.rglob("*") if path.is_file()] == []
    assert list(killed.workspace.glob(".spill-*")) == []
    for settings in (killed, untroubled):
        stage.run(settings, LAST)
    assert hash_files([killed.features]) == hash_files([untroubled.features])
