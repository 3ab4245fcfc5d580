"""A night that many processes wrote has several files, which count together or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from feature_repo.point_in_time import KEY
from pipelines.features.build import stage
from pipelines.features.engines import feature_files
from pipelines.features.engines.feature_files import NightFile
from pipelines.features.online import materialise
from pmlm.settings import Settings
from tests.unit.pipelines.features.built import LAST, all_rows, clinic, known_on, night_of, patients, write_batch
from tests.unit.pipelines.features.histories import Event

FIRST = night_of(4)
GROUPS = ("vitals", "trajectory", "peers")


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return patients(seed=4, pairs=8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Settings:
    """A clinic after its first night, in one file a group."""
    settings = clinic(tmp_path_factory.mktemp("whole"))
    write_batch(settings, FIRST, known_on(events, None, FIRST))
    stage.run(settings, FIRST)
    return settings


@pytest.fixture
def in_parts(tmp_path: Path, whole: Settings) -> Settings:
    """The same, with the files that Spark's executors leave: three, by patient."""
    shutil.copytree(whole.home, tmp_path / "state")
    settings = clinic(tmp_path)
    for group in GROUPS:
        folder = settings.features / group
        (origin,) = feature_files.read_origins(folder)
        table = pq.read_table(folder / f"{FIRST}.parquet")
        parts = [tmp_path / f"{group}-{number}.part" for number in range(3)]
        for number, part in enumerate(parts):
            rows = pl.DataFrame(table).filter(pl.col(KEY[0]) % 3 == number).to_arrow().cast(table.schema)
            pq.write_table(rows, part)
        feature_files.commit_parts(NightFile(folder, origin, ()), parts)
    return settings


def names(settings: Settings, group: str) -> set[str]:
    return {path.stem for path in (settings.features / group).glob("*.parquet")}


def test_several_files_are_one_night(in_parts: Settings, whole: Settings) -> None:
    assert names(in_parts, "vitals") == {FIRST, f"{FIRST}-1", f"{FIRST}-2"}
    for group in GROUPS:
        assert len(feature_files.read_origins(in_parts.features / group)) == 1
        assert len(feature_files.list_night_files(in_parts.features, group, FIRST)) == 3
    assert stage.run(in_parts, FIRST).status == "noop"
    for group, rows in all_rows(in_parts).items():
        assert rows.equals(all_rows(whole)[group]), group
    assert materialise.run(in_parts, FIRST).rows_out == materialise.run(whole, FIRST).rows_out


def test_the_next_night_goes_on_from_several_files(in_parts: Settings, whole: Settings, events: list[Event]) -> None:
    shutil.copytree(whole.home, in_parts.home.parent / "other" / "state")
    other = clinic(in_parts.home.parent / "other")
    for settings in (in_parts, other):
        write_batch(settings, LAST, known_on(events, FIRST, LAST))
        assert stage.run(settings, LAST).status == "done"
    for group, rows in all_rows(in_parts).items():
        assert rows.equals(all_rows(other)[group]), group


def test_files_without_the_one_that_is_put_in_place_last_are_built_again(in_parts: Settings, whole: Settings) -> None:
    """A build that was killed while it put them in place has left these."""
    (in_parts.features / "vitals" / f"{FIRST}.parquet").unlink()
    assert stage.run(in_parts, FIRST).status == "done"
    assert names(in_parts, "vitals") == {FIRST}
    assert all_rows(in_parts)["vitals"].equals(all_rows(whole)["vitals"])


def test_a_later_night_does_not_read_what_a_killed_build_left(in_parts: Settings, events: list[Event]) -> None:
    (in_parts.features / "vitals" / f"{FIRST}.parquet").unlink()
    write_batch(in_parts, LAST, known_on(events, FIRST, LAST))
    stage.run(in_parts, LAST)
    assert names(in_parts, "vitals") == {LAST}
