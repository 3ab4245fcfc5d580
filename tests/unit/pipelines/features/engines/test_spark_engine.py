"""Spark gives every feature that DuckDB gives, with peers found in blocks too.

Skipped by name where pyspark or Java is absent. One build serves the module: starting Spark is what takes the time.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from feature_repo.point_in_time import KEY
from feature_repo.store.services import find_groups
from models.patient.currency import DEFAULT_RULE
from models.peers import ann_index
from pipelines.features.build import stage
from pipelines.features.engines import feature_files, peer_rows, spark_engine, spark_peer_steps, spark_peers
from pipelines.features.engines.feature_files import FileOrigin, NightFile
from pipelines.features.trajectory import stage as training
from pipelines.night_dates import end_of_night
from pipelines.records import drops
from pipelines.records.log import event_log
from pipelines.records.log import ledger as records_ledger
from pipelines.records.stage import run as take_in
from pmlm.errors import SettingsError
from pmlm.settings import Settings
from tests.unit.pipelines.features.built import LAST as FIRST
from tests.unit.pipelines.features.built import all_rows, clinic, known_on, patients, write_batch

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("spark")]
BEFORE, LAST = "20260401", "20260602"
K = 3


@dataclass(frozen=True)
class Both:
    """One log, whose last weeks (from ``first``) each engine has built in its own clinic."""

    by_spark: Settings
    by_duckdb: Settings


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    """A session that plans as a cluster's does but compiles nothing, since rows are few."""
    pytest.importorskip("pyspark", reason="no pyspark (extra spark): that Spark gives the same features is not tested")
    if not shutil.which("java"):
        pytest.skip("no Java: that Spark gives the same features is not tested")
    started, _ = spark_engine.open_session(
        "local[2]",
        {
            "spark.sql.shuffle.partitions": "1",
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            "spark.sql.adaptive.enabled": "false",
            "spark.sql.constraintPropagation.enabled": "false",
            "spark.driver.memory": "2g",
        },
    )
    yield started
    started.stop()


@pytest.fixture(scope="module")
def both(session: Any, small_clinic: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("engines")
    events = _events(folder / "read", small_clinic)
    (folder / "duckdb" / "clinic").mkdir(parents=True)
    (folder / "duckdb" / "clinic" / "clinic.yaml").write_text("params: {trajectory: {epochs: 2}}\n")
    base = _settings(folder / "duckdb")
    early = pl.col("known_at") <= end_of_night(BEFORE)
    _append(base, BEFORE, events.filter(early))
    assert training.run(base, BEFORE).status == "done"
    stage.run(base, BEFORE)
    _append(base, LAST, events.filter(~early))
    shutil.copytree(folder / "duckdb", folder / "spark")
    other = _settings(folder / "spark").model_copy(update={"engine": "spark", "spark_master": "local[2]"})
    stage.run(base, LAST)
    assert stage.run(other, LAST).status == "done"
    return Both(other, base)


def _settings(folder: Path) -> Settings:
    """Settings with a k too small to be allowed: the clinic is too small for ten."""
    return clinic(folder).model_copy(update={"k_anonymity": K})


def _events(folder: Path, drops_folder: Path) -> pl.DataFrame:
    settings = Settings(home=folder, drops=drops_folder)
    for drop in drops.list_drops(settings):
        take_in(settings, drop.night)
    return event_log.scan_events(settings).collect()


def _append(settings: Settings, night: str, events: pl.DataFrame) -> None:
    settings.events.mkdir(parents=True, exist_ok=True)
    batch = event_log.write_batch(settings, night, events)
    records_ledger.write_entry(settings, records_ledger.LedgerEntry(night, content=batch, batches=[batch]))


@pytest.mark.parametrize("group", list(find_groups()))
def test_spark_gives_every_feature_that_duckdb_gives(both: Both, group: str) -> None:
    """Equal to the bit, but floats, which engines may divide differently, to 1e-9."""
    rows, expected = all_rows(both.by_spark)[group], all_rows(both.by_duckdb)[group]
    night = pl.col(KEY[1]) > end_of_night(BEFORE)
    assert expected.filter(night).height >= 30
    assert_frame_equal(rows, expected, rel_tol=1e-9, abs_tol=1e-9)


def test_no_feature_is_unknown_of_everybody_that_the_clinic_records(both: Both) -> None:
    """Equal rows would say little if they were empty."""
    made = {
        name: column
        for rows in all_rows(both.by_spark).values()
        for name, column in rows.filter(pl.col(KEY[1]) > end_of_night(BEFORE)).to_dict().items()
    }
    present = {n: c.list.len() > 0 if isinstance(c.dtype, pl.List) else c.is_not_null() for n, c in made.items()}
    known = {name for name, rows in present.items() if rows.any()}
    assert len(known) > 0.8 * len(made), sorted(set(made) - known)
    assert (made["peers_count"] >= K).any()


def test_stripes_on_executors_give_the_peers_of_one_process(
    session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More patients than the small clinic has, asked of indexes that give too few candidates, then without them."""

    def prefer_indexes(k: int, states: pa.Table, asked: pa.Table) -> pa.Table:
        found = spark_peer_steps.find_bands(k, states, asked)
        place = found.column_names.index("indexed")
        return found.set_column(place, found.schema.field(place), pa.array([True] * len(found), pa.bool_()))

    def overlook_nearly_all(k: int, states: pa.Table, asked: pa.Table) -> pa.Table:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ann_index, "OVERSAMPLE", 0)
            return spark_peer_steps.search_stripe(k, states, asked)

    names = ("build_states", "place_questions", "copy_to_cohorts", "copy_to_stripes", "merge")
    steps = {name: getattr(spark_peer_steps, name) for name in names}
    # workers import their own modules: what is changed has to travel there
    changed = SimpleNamespace(**steps, find_bands=prefer_indexes, search_stripe=overlook_nearly_all)
    monkeypatch.setattr(spark_peers, "spark_peer_steps", changed)
    settings = clinic(tmp_path)
    write_batch(settings, FIRST, known_on(patients(seed=11, pairs=60, records=14), None, FIRST))
    stage.run(settings, FIRST)
    moments = pl.read_parquet(settings.features / "peers" / "*.parquet").select(*KEY)
    last = moments.filter(pl.col(KEY[1]) == pl.col(KEY[1]).max())
    schema = pa.schema([peer_rows.SCHEMA.field(name) for name in KEY])
    expected = pl.DataFrame(peer_rows.compute_rows(settings.features, last.to_arrow().cast(schema), K, DEFAULT_RULE))
    session.createDataFrame(last.to_arrow()).createOrReplaceTempView("asked_of_peers")
    rows = spark_peers.find_rows(session, settings.features, session.table("asked_of_peers"), K, DEFAULT_RULE)
    found = pl.DataFrame(rows.toArrow().cast(peer_rows.SCHEMA))
    assert (found["peers_count"] >= K).sum() >= 10
    assert_frame_equal(found.sort(*KEY), expected.sort(*KEY), check_exact=True)


def test_executors_write_the_files_of_a_night_and_the_driver_renames_them(session: Any, tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    settings.workspace.mkdir(parents=True)
    origin = FileOrigin(LAST, ("a.parquet",), "definition", 1)
    file = NightFile(settings.features / "vitals", origin, (*KEY, "value"))
    schema = pa.schema([*(peer_rows.SCHEMA.field(name) for name in KEY), pa.field("value", pa.float64())])
    session.conf.set("spark.sql.shuffle.partitions", "3")
    query = (
        "select id as subject_id, timestamp'2026-06-02 23:59:59' as event_timestamp, id / 2 as value from range(100)"
    )
    try:
        with spark_engine.open_file(settings, file) as write:
            assert write(spark_engine.Frame(session.sql(query), schema)) == 100
            assert not list(settings.features.glob("*/*.parquet")), "nothing is there before all is"
        failing = session.sql(query.replace("id / 2", "assert_true(id < 50)"))
        with pytest.raises(Exception, match="is not true"), spark_engine.open_file(settings, file) as write:
            write(spark_engine.Frame(failing, schema))
    finally:
        session.conf.set("spark.sql.shuffle.partitions", "1")
    paths = feature_files.list_night_files(settings.features, "vitals", LAST)
    assert sorted(path.stem for path in paths) == [LAST, f"{LAST}-1", f"{LAST}-2"]
    assert feature_files.read_origins(file.folder) == [origin]
    tables = [pl.read_parquet(path) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        assert table.equals(table.sort(*KEY))
        assert path.stat().st_mode & 0o077 == 0
    together = pl.concat(tables).sort(*KEY)
    assert together["subject_id"].to_list() == list(range(100))
    assert together["value"].to_list() == [n / 2 for n in range(100)]
    assert together["created_timestamp"].unique().to_list() == [origin.created]
    assert not list(settings.workspace.glob(".spill-*"))


def test_without_pyspark_the_setting_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    settings = Settings(home=tmp_path, drops=tmp_path, engine="spark")
    with pytest.raises(SettingsError, match="extra spark"), spark_engine.open_connection(settings):
        pass
