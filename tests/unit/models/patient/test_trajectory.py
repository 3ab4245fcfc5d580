"""The trajectory model: causal, deterministic, and able to learn what follows what."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.patient.trajectory import PatientDays, Vocabulary, build_vocabulary, predict_next_days, train_trajectory


def alternating(subject: int, days: int = 12) -> PatientDays:
    """A, then B, then A again …, and C on no day at all."""
    codes = tuple(frozenset({"A" if d % 2 == subject % 2 else "B"}) for d in range(days))
    return PatientDays(subject, tuple(9000.0 + 7 * d for d in range(days)), codes)


RECORDS = [alternating(s) for s in range(8)]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_it_learns_what_follows_what() -> None:
    known = build_vocabulary(RECORDS)
    chances, _ = predict_next_days(train_trajectory(RECORDS, known, epochs=30), known, alternating(100))
    a, b = known.codes.index("A"), known.codes.index("B")
    assert chances[4, b] > 0.8 > 0.2 > chances[4, a]  # day 4 has A
    assert chances[5, a] > 0.8 > 0.2 > chances[5, b]


def test_a_later_day_never_changes_an_earlier_forecast() -> None:
    known = build_vocabulary(RECORDS)
    model = train_trajectory(RECORDS, known, epochs=1)
    whole, hidden = predict_next_days(model, known, alternating(1, days=10))
    part, hidden_then = predict_next_days(model, known, alternating(1, days=6))
    np.testing.assert_allclose(whole[:6], part, atol=1e-5)
    np.testing.assert_allclose(hidden[:6], hidden_then, atol=1e-5)


def test_the_same_training_gives_the_same_weights() -> None:
    known = build_vocabulary(RECORDS)
    one, two = (train_trajectory(RECORDS, known, epochs=1, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_codes_of_too_few_patients_are_not_in_the_vocabulary_and_are_passed_over() -> None:
    rare = PatientDays(99, (1.0, 2.0), (frozenset({"A", "RARE"}), frozenset({"B"})))
    known = build_vocabulary([*RECORDS, rare])
    assert known.codes == ("A", "B")
    assert known.multi_hot(rare).tolist() == [[1, 0], [0, 1]]


def test_a_patient_without_days_and_a_clinic_without_records_are_answered() -> None:
    empty = Vocabulary((), ())
    assert build_vocabulary([]) == empty
    known = build_vocabulary(RECORDS)
    chances, hidden = predict_next_days(train_trajectory(RECORDS, known, epochs=1), known, PatientDays(5, (), ()))
    assert chances.shape == (0, 2)
    assert hidden.shape[0] == 0
