"""A night reads the events of the patients it builds, and of no others."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from feature_repo.point_in_time import KEY
from pipelines.features.build import incremental_plan, stage
from pipelines.features.build.as_of_times import BuildSpan
from pipelines.features.engines import duckdb_engine
from pipelines.features.engines.query import make_input_tables
from pipelines.night_dates import end_of_night
from pipelines.records.log import ledger as records_ledger
from pmlm.settings import Settings
from tests.unit.pipelines.features.built import clinic, night_of, write_batch
from tests.unit.pipelines.features.histories import START, Event

NIGHTS = [night_of(3), night_of(6)]


def weight(subject: int, record: int, day: int, hour: int = 10, **more: object) -> Event:
    """A measured weight, known as soon as it was measured."""
    at = START + dt.timedelta(days=day, hours=hour)
    fact = {"subject_id": subject, "record": record, "known_at": at, "time": at, "code": "LOINC//29463-7"}
    return fact | {"kind": "observation", "numeric_value": 60.0 + record, "source": f"{record}-{day}"} | more


FIRST = [weight(subject, subject, 1) for subject in range(1, 9)]


def nights(folder: Path, *batches: list[Event]) -> Settings:
    """A clinic after the builds of some nights."""
    settings = clinic(folder)
    for night, batch in zip(NIGHTS, batches, strict=False):
        write_batch(settings, night, batch)
        stage.run(settings, night)
    return settings


def rows(settings: Settings, group: str) -> list[tuple[int, dt.datetime]]:
    """Whose rows of which moments the second night has made."""
    made = pl.read_parquet(settings.features / group / f"{NIGHTS[1]}.parquet").sort(*KEY)
    return list(made.select(KEY).iter_rows())


def end_of_day(day: int) -> dt.datetime:
    return end_of_night(night_of(day))


@pytest.mark.parametrize(
    ("news", "whose", "events"),
    [
        ([weight(2, 20, 5)], {2}, 2),
        ([weight(2, 20, 5), weight(3, 1, 5)], {1, 2, 3}, 5),  # record 1 was the first patient's
        ([weight(2, 20, 1, hour=15)], {2}, 2),  # known on a day built before
        ([weight(5, 50, 5)], {5}, 3),  # the fourth patient's record has been the fifth's since the second day
        ([weight(4, 40, 5)], {4}, 2),
    ],
)
def test_a_night_holds_the_events_of_whom_its_news_concern(
    tmp_path: Path, news: list[Event], whose: set[int], events: int
) -> None:
    settings = nights(tmp_path, [*FIRST, weight(5, 4, 2)])
    write_batch(settings, NIGHTS[1], news)
    span = BuildSpan(end_of_night(NIGHTS[0]), end_of_night(NIGHTS[1]))
    with duckdb_engine.connect() as connection:
        files = records_ledger.list_batches(settings)
        log = duckdb_engine.read_log(connection, files)
        found = incremental_plan.find_changed_patients(duckdb_engine, connection, log, files, (files[-1].name,), span)
        incremental_plan.load_changed(duckdb_engine, connection, log, found, span, [make_input_tables()[0]])
        versions = connection.table("held").to_polars()
    assert set(versions["subject_id"]) == whose
    assert len(versions) == events


def test_a_fact_filed_under_another_makes_a_day_for_both(tmp_path: Path) -> None:
    settings = nights(tmp_path, FIRST, [weight(3, 1, 5)])
    assert rows(settings, "vitals") == [(1, end_of_day(5)), (3, end_of_day(5))]
    made = pl.read_parquet(settings.features / "vitals" / f"{NIGHTS[1]}.parquet").sort(*KEY)
    assert made["weight_latest"].to_list() == [None, 61.0]


def test_a_fact_known_ahead_makes_a_day_when_it_comes_true_without_other_news_of_the_patient(tmp_path: Path) -> None:
    ahead = weight(1, 30, 1) | {"time": START + dt.timedelta(days=5, hours=8)}
    settings = nights(tmp_path, [*FIRST, ahead], [weight(2, 20, 5)])
    assert rows(settings, "vitals") == [(1, end_of_day(5)), (2, end_of_day(5))]


def test_late_news_of_an_afternoon_makes_everybodys_peers_of_that_day_anew(tmp_path: Path) -> None:
    settings = nights(tmp_path, FIRST, [weight(2, 20, 1, hour=15)])
    everybody = range(1, 9)
    assert rows(settings, "vitals") == [(2, end_of_day(1))]
    assert rows(settings, "peers") == [(s, end_of_day(day)) for s in everybody for day in (1, 3, 6)]
