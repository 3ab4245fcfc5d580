"""The sample clinic's features after a night are possible, with sources and enough peers."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from feature_repo.store import online
from feature_repo.store.services import find_groups, list_features
from models.vocabulary import SIGNALS, Signal
from pipelines.records.log import event_log
from pmlm.settings import Settings
from tests.command_line import pmlm

if TYPE_CHECKING:
    from tests.conftest import NightDone


@pytest.fixture(scope="module")
def clinic(night_done: NightDone) -> Settings:
    return night_done.settings


@pytest.fixture(scope="module")
def rows(clinic: Settings) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(clinic.features / name / "*.parquet") for name in find_groups()}


def test_every_patient_with_a_record_has_a_row_in_every_group(clinic: Settings, rows: dict[str, pl.DataFrame]) -> None:
    recorded = set(event_log.scan_events(clinic).select("subject_id").unique().collect()["subject_id"])
    assert {name: set(frame["subject_id"]) for name, frame in rows.items()} == dict.fromkeys(rows, recorded)


def test_no_row_is_of_a_moment_after_the_clinics_clock(clinic: Settings, rows: dict[str, pl.DataFrame]) -> None:
    assert all(frame["event_timestamp"].max() <= clinic.now() for frame in rows.values())


def test_no_value_is_of_a_time_after_its_row(rows: dict[str, pl.DataFrame]) -> None:
    for frame in rows.values():
        times = [n for n in frame.columns if n.endswith("_time") or n in ("birth", "died", "pregnancy_since")]
        for name in times:
            assert frame.filter(pl.col(name) > pl.col("event_timestamp")).is_empty(), name


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: s.name)
def test_signals_are_possible_and_name_their_source(signal: Signal, rows: dict[str, pl.DataFrame]) -> None:
    frame = next(f for f in rows.values() if f"{signal.name}_latest" in f.columns)
    known = frame.filter(pl.col(f"{signal.name}_latest").is_not_null())
    assert known[f"{signal.name}_latest"].is_between(signal.low, signal.high).all()
    assert known[f"{signal.name}_source"].is_not_null().all()


def test_arrays_of_a_group_run_in_parallel(rows: dict[str, pl.DataFrame]) -> None:
    for group, stem in (("problems", "condition"), ("medicines", "medicine"), ("medicines", "allergy")):
        lengths = rows[group].select(pl.col(f"^{stem}_.*$").list.len().fill_null(0))
        assert (lengths.min_horizontal() == lengths.max_horizontal()).all()


def test_peers_are_at_least_ten_or_nothing(clinic: Settings, rows: dict[str, pl.DataFrame]) -> None:
    peers = rows["peers"]
    assert peers.filter(pl.col("peers_count").is_between(1, clinic.k_anonymity - 1)).is_empty()
    alone = peers.filter(pl.col("peers_count") == 0)
    assert alone.select(pl.col("^peer_.*$").is_null().all()).row(0) == (True,) * 10
    assert peers.filter(pl.col("peers_count") > 0)["peer_anaemia"].is_between(0, 100).all()


def test_most_patients_have_the_signals_of_every_group(clinic: Settings) -> None:
    subjects = event_log.scan_events(clinic).select("subject_id").unique().collect()["subject_id"]
    served = [online.read(clinic.feast, subject) for subject in subjects]
    known = {name: sum(row is not None and row[name] not in (None, []) for row in served) for name in list_features()}
    for name in (
        "weight_latest",
        "systolic_latest",
        "haemoglobin_latest",
        "birth",
        "language",
        "visit_times",
        "embedding",
    ):
        assert known[name] >= 0.8 * len(served), name


def test_show_prints_value_unit_age_and_source(clinic: Settings) -> None:
    file = next(clinic.drops.glob("*/Patient.ndjson.gz"))
    patient = json.loads(gzip.decompress(file.read_bytes()).splitlines()[0])["id"]
    shown = json.loads(pmlm(clinic, "features", "show", patient, "--json").splitlines()[-1])
    weight = next(f for f in shown["features"] if f["name"] == "weight_latest")
    assert weight["unit"] == "kg"
    assert weight["age_days"] >= 0
    assert weight["sources"]
