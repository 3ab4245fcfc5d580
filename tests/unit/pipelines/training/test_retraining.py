"""The retraining rule: which nights train, which do not, and what each says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines import tombstones
from pipelines.params import Params, load_params, merge_params
from pipelines.runs import request_training, stage_run
from pipelines.tombstones import Tombstone
from pipelines.training.retraining import decide_retraining, hash_recipe
from pmlm.settings import Settings
from pmlm.storage import write_json

FIRST, SECOND, THIRD, WEEK_LATER = "20260601", "20260602", "20260603", "20260608"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "state", drops=tmp_path / "drops")


@pytest.fixture
def params(settings: Settings) -> Params:
    return load_params(settings)


@pytest.fixture
def trained(settings: Settings, params: Params) -> Settings:
    """A clinic that trained in its first night, on 100 answered questions."""
    record(settings, FIRST, "episodes", rows_in=100)
    record(settings, FIRST, "train", figures={"recipe": hash_recipe(settings, params)})
    return settings


def record(settings: Settings, night: str, stage: str, **values: Any) -> None:
    """Write what a stage of a night leaves on record."""
    with stage_run(settings, night, stage) as summary:
        for name, value in values.items():
            setattr(summary, name, value)


def test_the_first_night_trains(settings: Settings, params: Params) -> None:
    decision = decide_retraining(settings, FIRST, params)
    assert (decision.due, decision.why) == (True, "no training before")


def test_a_night_without_cause_does_not_train_and_says_why(trained: Settings, params: Params) -> None:
    record(trained, SECOND, "episodes", rows_in=149)
    record(trained, SECOND, "drift", figures={"records": "stable", "features": "no verdict"})
    decision = decide_retraining(trained, SECOND, params)
    assert not decision.due
    assert decision.why == "no training: 49 of 50 new answered questions, no drift, 1 of 7 nights since 20260601"


def test_enough_new_answered_questions_train(trained: Settings, params: Params) -> None:
    record(trained, SECOND, "episodes", rows_in=150)
    assert decide_retraining(trained, SECOND, params).why == "50 questions answered since 20260601"


def test_a_drift_verdict_since_the_last_training_trains(trained: Settings, params: Params) -> None:
    record(trained, SECOND, "drift", figures={"records": "drift", "prompts": "stable"})
    for night in (SECOND, THIRD):
        assert decide_retraining(trained, night, params).why == "drift of records since 20260601"


def test_drift_that_the_last_training_has_learnt_from_is_no_cause(trained: Settings, params: Params) -> None:
    record(trained, FIRST, "drift", figures={"records": "drift"})
    assert not decide_retraining(trained, SECOND, params).due


def test_drift_that_lasts_starts_no_second_training_and_drift_that_begins_again_does(
    trained: Settings, params: Params
) -> None:
    record(trained, FIRST, "drift", figures={"records": "drift", "prompts": "stable"})
    record(trained, SECOND, "drift", figures={"records": "drift", "prompts": "drift"})
    assert decide_retraining(trained, SECOND, params).why == "drift of prompts since 20260601"
    record(trained, SECOND, "drift", figures={"records": "stable", "prompts": "stable"})
    assert not decide_retraining(trained, SECOND, params).due
    record(trained, THIRD, "drift", figures={"records": "drift", "prompts": "stable"})
    assert decide_retraining(trained, THIRD, params).why == "drift of records since 20260601"


def test_age_alone_trains(trained: Settings, params: Params) -> None:
    assert decide_retraining(trained, WEEK_LATER, params).why == "7 nights since the last training"


def test_changed_parameters_of_training_train(trained: Settings) -> None:
    changed = merge_params({"train": {"token_cap": 30}})
    assert "what a training reads has changed" in decide_retraining(trained, SECOND, changed).why
    assert not decide_retraining(trained, SECOND, merge_params({"gate": {"confidence": 0.9}})).due


def test_a_request_trains_whatever_the_rule_says(trained: Settings, params: Params) -> None:
    request_training(trained, SECOND, "asked for by someone")
    assert decide_retraining(trained, SECOND, params).why == "asked for by someone"
    assert not decide_retraining(trained, THIRD, params).due


def test_a_night_that_runs_again_decides_as_before(trained: Settings, params: Params) -> None:
    """Its own training and those of later nights do not count."""
    record(trained, SECOND, "episodes", rows_in=150)
    before = decide_retraining(trained, SECOND, params)
    for night in (SECOND, THIRD):
        record(trained, night, "train")
        record(trained, THIRD, "drift", figures={"records": "drift"})
    assert decide_retraining(trained, SECOND, params) == before


def test_a_night_without_enough_episodes_is_no_training(trained: Settings, params: Params) -> None:
    record(trained, SECOND, "train", status="hold")
    record(trained, THIRD, "train", status="noop")
    assert decide_retraining(trained, WEEK_LATER, params).why == "7 nights since the last training"


def test_the_erasure_of_a_patient_from_whom_the_challenger_learnt_trains(
    trained: Settings, params: Params, tmp_path: Path
) -> None:
    trained = trained.model_copy(update={"key_dir": tmp_path / "keys"})
    write_json(trained.models / "challenger" / "refiner.json", {"id": "refiner-1"})
    assert not decide_retraining(trained, SECOND, params).due
    tombstones.add_tombstone(trained, 7, Tombstone("", "now", "a", "b", [], ["refiner-1"]))
    decision = decide_retraining(trained, SECOND, params)
    assert decision.due
    assert "was erased" in decision.why
    write_json(trained.models / "challenger" / "refiner.json", {"id": "refiner-2"})
    assert not decide_retraining(trained, SECOND, params).due
