"""A ranker without a patient's replies is the one that had never seen them, but for its weights."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from models.peers.recommendation import Reply, fit_recommender
from models.prompt import ranker_file
from models.prompt.ranking import FEATURES, Ranker
from models.schema import Segment

K = 3
START = datetime(2026, 1, 1, tzinfo=UTC)


def reply(patient: int, *keys: str) -> Reply:
    facts = tuple(
        Segment(key=key, kind="condition", text=key, pinned=False, sources=(), tokens=1, recency_days=1.0, change=0.0,
                peer_lift=0.0, surprise=0.0)
        for key in keys
    )  # fmt: skip
    question = np.eye(4, dtype=np.float32)[patient % 4]
    return Reply(f"r{patient}", patient, START + timedelta(days=patient), question, facts, np.full(len(keys), 0.5))


REPLIES = [reply(n, "no.asthma", *(["bmi"] if n < 3 else [])) for n in range(6)]


def save(folder: Path, replies: list[Reply]) -> dict[str, bytes]:
    fitted = fit_recommender(replies, K)
    assert fitted is not None
    ranker_file.save_ranker(folder, Ranker(fitted, tuple(0.1 for _ in FEATURES)))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("patient", [0, 5])
def test_it_equals_one_fitted_without_the_patient(tmp_path: Path, patient: int) -> None:
    files = save(tmp_path / "all", REPLIES)
    others = save(tmp_path / "others", [one for one in REPLIES if one.subject_id != patient])
    assert ranker_file.remove_patients(files, {patient}) == others


def test_it_can_be_loaded(tmp_path: Path) -> None:
    left = ranker_file.remove_patients(save(tmp_path / "all", REPLIES), {5}) or {}
    (tmp_path / "left").mkdir()
    for name, content in left.items():
        (tmp_path / "left" / name).write_bytes(content)
    ranker = ranker_file.load_ranker(tmp_path / "left")
    assert ranker is not None
    assert set(ranker.recommender.subjects) == {0, 1, 2, 3, 4}


def test_a_fact_of_too_few_others_goes_too(tmp_path: Path) -> None:
    left = ranker_file.remove_patients(save(tmp_path / "all", REPLIES), {0}) or {}
    assert b"bmi" not in left[ranker_file.DESCRIPTION]


def test_without_facts_of_enough_others_there_is_no_ranker(tmp_path: Path) -> None:
    assert ranker_file.remove_patients(save(tmp_path / "all", REPLIES[:3]), {0}) == {}


def test_a_ranker_that_never_saw_the_patient_stays(tmp_path: Path) -> None:
    assert ranker_file.remove_patients(save(tmp_path / "all", REPLIES), {17}) is None
