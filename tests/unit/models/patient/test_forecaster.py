"""A forecaster is calibrated on patients left out, deterministic, and survives saving."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from models.patient.forecaster import (
    Forecaster,
    forecast_state,
    forecast_states,
    load_forecaster,
    save_forecaster,
    train_forecaster,
)
from models.patient.trajectory import PatientDays
from models.prompt.candidates import build_candidates
from models.refiner.featurizer import numeric_features
from models.schema import Segment
from tests.unit.models.feature_rows import AS_OF

LOW, MISSED = "observation|haemoglobin:low", "encounter.missed|SNOMED//1"
CENTRES = np.eye(2, 384, dtype=np.float32)


def record(subject: int, days: int = 24) -> PatientDays:
    """A low haemoglobin every second visit; between them something else."""
    codes = tuple(frozenset({LOW if d % 2 else "observation|pain:usual"}) for d in range(days))
    return PatientDays(subject, tuple(9000.0 + 7 * d for d in range(days)), codes)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def learnt() -> Forecaster:
    found = train_forecaster([record(s) for s in range(16)], CENTRES, epochs=12)
    assert found is not None
    return found


def test_it_says_what_comes_next_and_only_when_it_does(learnt: Forecaster) -> None:
    assert LOW in forecast_state(learnt, record(99, 9)).codes  # the last visit was not low
    assert LOW not in forecast_state(learnt, record(99, 10)).codes


def test_what_was_wrong_for_patients_left_out_is_never_forecast() -> None:
    random = np.random.default_rng(0)

    def at_random(subject: int) -> PatientDays:
        codes = tuple(frozenset({LOW} if random.random() < 0.1 else {"observation|x"}) for _ in range(24))
        return PatientDays(subject, tuple(9000.0 + 7 * d for d in range(24)), codes)

    found = train_forecaster([at_random(s) for s in range(16)], None, epochs=3)
    assert found is not None
    assert LOW not in found.trusted


def test_the_unexpected_visit_has_the_greater_surprise(learnt: Forecaster) -> None:
    expected = record(99, 10)
    odd = PatientDays(99, expected.days, (*expected.codes[:-1], frozenset({"observation|pain:usual"})))
    usual, unusual = forecast_state(learnt, expected).surprise, forecast_state(learnt, odd).surprise
    assert usual is not None
    assert unusual is not None
    assert unusual > usual + 1
    assert forecast_state(learnt, record(99, 1)).surprise is None


def test_one_pass_says_of_every_earlier_state_what_a_pass_of_its_own_would(
    learnt: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.patient.forecaster.MAX_DAYS", 12)
    monkeypatch.setattr("models.patient.trajectory.MAX_DAYS", 12)
    whole = record(99, 20)
    states = [PatientDays(99, whole.days[:n], whole.codes[:n]) for n in range(1, 21)]
    states[4] = PatientDays(
        99, states[4].days, (*states[4].codes[:2], frozenset({LOW, "observation|pain:usual"}), *states[4].codes[3:])
    )
    assert forecast_states(learnt, states) == [forecast_state(learnt, state) for state in states]


def test_the_version_is_the_content_and_a_saved_one_says_the_same(learnt: Forecaster, tmp_path: Path) -> None:
    again = train_forecaster([record(s) for s in range(16)], CENTRES, epochs=12)
    assert again is not None
    assert again.version == learnt.version
    folder = tmp_path / learnt.version
    folder.mkdir()
    save_forecaster(folder, learnt)
    found = load_forecaster(folder)
    assert forecast_state(found, record(5, 11)) == forecast_state(learnt, record(5, 11))
    assert np.array_equal(found.centres, CENTRES)
    (folder / "forecaster.json").write_text((folder / "forecaster.json").read_text().replace("0.", "0.1", 1))
    with pytest.raises(ValueError, match="damaged"):
        load_forecaster(folder)


ROW = {
    "model_version": "0123456789abcdef",
    "next_visit_events": [LOW, MISSED, "procedure|SNOMED//2", "condition|SNOMED//271737000"],
    "next_visit_chances": [0.62, 0.41, 0.9, 0.5],
    "trajectory_time": AS_OF - timedelta(days=12),
    "trajectory_sources": ["a1b2"],
    "visit_surprise": 2.5,
}


def find_prediction(row: dict, language: str = "en") -> Segment | None:
    return next((s for s in build_candidates(row, AS_OF, len, language) if s.kind == "prediction"), None)


def test_the_forecast_is_said_as_one_with_its_day_and_model_behind_it() -> None:
    found = find_prediction(ROW)
    assert found is not None
    assert found.text == (
        "Forecast, not a finding: next visit may bring low haemoglobin (60%) and a missed appointment (40%)"
    )
    assert found.sources == ("a1b2", "model:0123456789abcdef")
    assert (found.recency_days, found.surprise) == (12.0, 2.5)
    chinese = find_prediction(ROW, "zh")
    assert chinese is not None
    assert "血红蛋白偏低（可能性60%）" in chinese.text


def test_what_is_on_her_record_already_or_has_no_words_or_is_old_is_not_forecast() -> None:
    anaemia = {"next_visit_events": ["condition|SNOMED//271737000"], "next_visit_chances": [0.5]}
    assert find_prediction(ROW | anaemia) is not None
    assert (
        find_prediction(ROW | anaemia | {"condition_codes": ["SNOMED//271737000"], "condition_texts": ["Anemia"]})
        is None
    )
    assert find_prediction(ROW | {"next_visit_events": ["procedure|SNOMED//2", "observation|pain:usual"]}) is None
    assert find_prediction(ROW | {"trajectory_time": AS_OF - timedelta(days=400)}) is None
    assert find_prediction(ROW | {"model_version": None}) is None


def test_the_policy_reads_the_surprise_of_her_last_visit() -> None:
    seen = {s.key: s for s in build_candidates(ROW | {"visit_times": [AS_OF - timedelta(days=12)]}, AS_OF, len)}
    calm = {s.key: s for s in build_candidates({"visit_times": [AS_OF - timedelta(days=12)]}, AS_OF, len)}
    assert numeric_features(seen["visits.recent"]) != numeric_features(calm["visits.recent"])
