"""Trajectory features are right in time, incremental, of one version, trained on training patients."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
import yaml

from feature_repo.store import online
from models.patient.forecaster import forecast_state
from models.vocabulary import BIRTH_CODE
from pipelines import splits
from pipelines.embedding_cache import open_encoder
from pipelines.features.build import historical_rows, stage
from pipelines.features.engines import feature_files
from pipelines.features.online import materialise
from pipelines.features.trajectory import model_store, sequences
from pipelines.features.trajectory import rows as trajectory_rows
from pipelines.features.trajectory import stage as training
from pipelines.params import TrajectoryParams, load_params
from pmlm.errors import FeaturesError
from pmlm.settings import Settings
from tests.unit.pipelines.features.built import LAST, clinic, group_rows, known_on, night_of, patients, write_batch
from tests.unit.pipelines.features.histories import START, Event, _event

NIGHTS = [night_of(day) for day in (4, 6, 9)] + [LAST]
SHARES = splits.SplitParams(0.25, 0.25, 0.6)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """Generated histories of patients whose birth is known."""
    found = patients(seed=31, pairs=14)
    for subject in sorted({e["subject_id"] for e in found}):
        born = START - timedelta(days=9000 + subject)
        birth = _event(BIRTH_CODE, "patient", born, record=900_000 + subject, subject_id=subject, known_at=START)
        found.append(birth | {"source": f"birth-{subject}"})
    return found


def made(folder: Path, epochs: int = 2) -> Settings:
    settings = clinic(folder)
    # generated codes are many: a night's new ones alone are no drift here
    params = {"params": {"trajectory": {"epochs": epochs, "strangers": 0.5}}}
    (settings.drops / "clinic.yaml").write_text(yaml.safe_dump(params))
    return clinic(folder)


def by_night(settings: Settings, events: list[Event]) -> dict[str, list[Event]]:
    return {n: known_on(events, before, n) for before, n in zip([None, *NIGHTS[:-1]], NIGHTS, strict=True)}


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Settings:
    """Four nights, each with all of its intake; the model is trained on the second."""
    settings = made(tmp_path_factory.mktemp("nightly"))
    for night, batch in by_night(settings, events).items():
        write_batch(settings, night, batch)
        if night != NIGHTS[0]:
            training.run(settings, night)
        stage.run(settings, night)
    materialise.run(settings, LAST)
    return settings


def copied(settings: Settings, folder: Path) -> Settings:
    shutil.copytree(settings.home, folder / "state")
    shutil.copytree(settings.drops, folder / "clinic")
    return clinic(folder)


def test_a_model_is_trained_once_then_kept_until_it_is_old(nightly: Settings, events: list[Event]) -> None:
    stated = model_store.read_manifest(nightly)
    assert stated["night"] == NIGHTS[1]
    found = sequences.read_events(nightly, nightly.now())
    params = TrajectoryParams(every_nights=30, epochs=8, strangers=0.5)
    assert training.explain_due({}, LAST, found, params) == "there was no model"
    assert not training.explain_due(stated, LAST, found, params)
    assert "nights old" in training.explain_due(stated | {"night": "20251101"}, LAST, found, params)
    assert "drift" in training.explain_due(stated | {"codes": ["SNOMED//0"], "strangers": 0.0}, LAST, found, params)


def test_every_row_is_what_the_model_says_of_what_was_known_then(nightly: Settings) -> None:
    forecaster = model_store.load_model(nightly)
    assert forecaster is not None
    rows = group_rows(nightly, "trajectory")
    checked = 0
    with open_encoder(nightly) as encode:
        for moment in sorted(set(rows["event_timestamp"]))[::3]:
            # within a second the last version holds, see feature_repo.point_in_time
            seen = sequences.read_events(nightly, moment + timedelta(microseconds=999_999))
            records = {r.subject_id: r for r in sequences.build_records(seen, forecaster.centres, encode)}
            for row in rows.filter(pl.col("event_timestamp") == moment).to_dicts():
                record = records.get(row["subject_id"])
                assert (record is None) == (row["trajectory_time"] is None)
                if record is not None:
                    expected = forecast_state(forecaster, record)
                    assert row["trajectory_embedding"] == pytest.approx(expected.embedding, abs=1e-6)
                    assert tuple(row["next_visit_events"]) == expected.codes
                    assert row["visit_surprise"] == expected.surprise
                    assert row["trajectory_time"] <= moment
                    checked += 1
    assert checked > 40


def test_night_after_night_equals_one_build_from_scratch(nightly: Settings, tmp_path: Path) -> None:
    settings = copied(nightly, tmp_path)
    shutil.rmtree(settings.features)
    stage.run(settings, LAST)
    assert group_rows(settings, "trajectory").equals(group_rows(nightly, "trajectory"))


def test_a_night_adds_rows_only_for_patients_whose_record_changed(nightly: Settings) -> None:
    vitals, trajectory = (
        pl.read_parquet(nightly.features / group / f"{NIGHTS[2]}.parquet").select("subject_id", "event_timestamp")
        for group in ("vitals", "trajectory")
    )
    assert set(trajectory.rows()) == set(vitals.rows())  # vitals: see test_incremental.py
    assert len(trajectory) < len(group_rows(nightly, "trajectory")) / 2


def test_a_new_model_makes_all_rows_anew_and_is_served_at_once(nightly: Settings, tmp_path: Path) -> None:
    settings = copied(nightly, tmp_path)
    old = model_store.read_version(settings)
    with open_encoder(settings) as encode:
        read = sequences.select_training_records(sequences.read_events(settings, settings.now()), SHARES, encode)
    assert read is not None
    new = training.train_forecaster(read.train, read.centres, epochs=3)
    assert new is not None
    model_store.install_model(settings, new, {"night": LAST, "codes": [], "strangers": 0.0})
    before = online.read(settings.feast, 1)
    assert before is not None
    assert before["model_version"] == old
    stage.run(settings, LAST)
    materialise.run(settings, LAST)
    rows = group_rows(settings, "trajectory")
    assert set(rows["model_version"]) == {new.version} != {old}
    assert len(rows) == len(group_rows(nightly, "trajectory"))
    served = {(online.read(settings.feast, s) or {})["model_version"] for s in set(rows["subject_id"])}
    assert served == {new.version}
    assert [p.name for p in model_store.model_folder(settings).iterdir() if p.is_dir()] == [new.version]


def test_rows_of_two_models_are_refused_offline_and_never_put_online(nightly: Settings, tmp_path: Path) -> None:
    settings = copied(nightly, tmp_path)
    path = settings.features / "trajectory" / f"{LAST}.parquet"
    other = pl.read_parquet(path).with_columns(model_version=pl.lit("another")).to_arrow()
    origin = next(o for o in feature_files.read_origins(path.parent) if o.night == LAST)
    schema = trajectory_rows.SCHEMA.append(other.schema.field("created_timestamp"))
    with feature_files.open_writer(feature_files.NightFile(path.parent, origin, ()), schema) as writer:
        writer.write_table(other.cast(schema))
    asked = pd.DataFrame({"subject_id": [1], "event_timestamp": [pd.Timestamp(settings.now())]})
    with pytest.raises(FeaturesError, match="several models"):
        historical_rows.read_rows(settings, asked)
    with pytest.raises(FeaturesError, match="several models"):
        materialise.run(settings, LAST)
    row = online.read(settings.feast, 1)
    assert row is not None
    assert row["model_version"] == model_store.read_version(settings)


def test_offline_and_online_say_the_same(nightly: Settings) -> None:
    for subject in sorted(set(group_rows(nightly, "trajectory")["subject_id"]))[:6]:
        asked = pd.DataFrame({"subject_id": [subject], "event_timestamp": [pd.Timestamp(nightly.now())]})
        there, served = historical_rows.read_rows(nightly, asked).iloc[0].to_dict(), online.read(nightly.feast, subject)
        assert served is not None
        for field in trajectory_rows.SCHEMA.names[2:]:
            assert served[field] == there[field], field


def test_only_training_patients_days_before_the_cut_are_learnt_from(nightly: Settings) -> None:
    found = sequences.read_events(nightly, nightly.now())
    not_trained = pl.col("subject_id").is_in(
        [s for s in set(found["subject_id"]) if splits.assign_patient(s, SHARES) != splits.TRAIN]
    )
    visits = pl.col("kind").is_in(sequences.VISIT_KINDS)
    times = found.filter(pl.col("kind") == "question")["time"].to_list()
    late = pl.col("time") >= splits.find_time_cut(times, SHARES.time_quantile) + timedelta(days=1)
    altered = found.with_columns(
        code=pl.when(visits & (not_trained | late)).then(pl.lit("SNOMED//planted")).otherwise("code")
    )
    assert not altered.equals(found)
    versions = []
    for seen in (found, altered):
        with open_encoder(nightly) as encode:
            read = sequences.select_training_records(seen, SHARES, encode)
        assert read is not None
        learnt = training.train_forecaster(read.train, read.centres, epochs=1)
        assert learnt is not None
        versions.append(learnt.version)
    assert versions[0] == versions[1]


def test_a_clinic_with_too_few_patients_holds_and_its_features_are_unknown(tmp_path: Path) -> None:
    settings = made(tmp_path)
    write_batch(settings, NIGHTS[0], known_on(patients(seed=5, pairs=2), None, NIGHTS[0]))
    assert training.run(settings, NIGHTS[0]).status == "hold"
    stage.run(settings, NIGHTS[0])
    rows = group_rows(settings, "trajectory")
    assert len(rows)
    assert rows["model_version"].null_count() == len(rows)
    assert load_params(settings).trajectory.every_nights == 30
