"""Intervals: the bootstrap resamples patients, ignores order, gives none for one patient."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evaluation.nightly.intervals import (
    bootstrap_difference,
    bootstrap_mean,
    flip_signs,
    reject_by_holm,
    spend_alpha,
)


def test_copies_of_a_patients_episode_do_not_narrow_the_interval() -> None:
    random = np.random.default_rng(0)
    values, subjects = random.normal(size=30), np.arange(30)
    once = bootstrap_mean(values.tolist(), subjects.tolist())
    copied = bootstrap_mean(np.repeat(values, 10).tolist(), np.repeat(subjects, 10).tolist())
    assert copied.ci_high - copied.ci_low == pytest.approx(once.ci_high - once.ci_low, rel=0.05)
    assert (copied.n, copied.patients) == (300, 30)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for trial in range(200):
        random = np.random.default_rng(trial)
        subjects = np.repeat(np.arange(25), 4)
        values = random.normal(size=25)[subjects] + random.normal(size=100)
        found = bootstrap_mean(values.tolist(), subjects.tolist(), draws=500, seed=trial)
        covered += found.ci_low <= 0 <= found.ci_high
    assert 0.88 <= covered / 200 <= 0.99


@given(values=st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 9)), min_size=2, max_size=40), data=st.data())
def test_the_order_of_episodes_does_not_matter(values, data) -> None:
    turned = data.draw(st.permutations(values))
    straight, other = (bootstrap_mean([v for v, _ in x], [s for _, s in x], draws=200) for x in (values, turned))
    assert straight.value == pytest.approx(other.value, abs=1e-9)
    assert straight.ci_low == pytest.approx(other.ci_low, abs=1e-9, nan_ok=True)


def test_one_patient_gives_no_interval() -> None:
    found = bootstrap_mean([1.0, 2.0], [7, 7])
    assert found.value == 1.5
    assert math.isnan(found.ci_low)
    assert math.isnan(found.ci_high)


def test_a_pair_that_moves_together_has_a_narrow_difference() -> None:
    random = np.random.default_rng(1)
    base = random.normal(scale=10, size=50)
    found = bootstrap_difference((base + 0.1).tolist(), base.tolist(), list(range(50)))
    assert found.ci_low == pytest.approx(0.1)
    assert found.ci_high == pytest.approx(0.1)


@given(confidence=st.floats(0.5, 0.999), looks=st.integers(1, 400))
def test_the_error_spent_over_all_nights_stays_within_the_error_allowed(confidence, looks) -> None:
    total = sum(1 - spend_alpha(confidence, look) for look in range(1, looks + 1))
    assert total <= (1 - confidence) + 1e-9


def test_sign_flips_call_a_harmless_difference_worse_no_more_often_than_they_may() -> None:
    called = 0
    for trial in range(200):
        random = np.random.default_rng(trial)
        subjects = np.repeat(np.arange(10), 3)
        values = random.normal(size=10)[subjects] + random.normal(size=30)
        called += flip_signs(values.tolist(), subjects.tolist()) <= 0.05
    assert called <= 20


def test_sign_flips_find_harm_in_every_patient_and_nothing_in_one_patient() -> None:
    assert flip_signs([-1.0] * 10, list(range(10))) == pytest.approx(1 / 2**10)
    assert flip_signs([1.0] * 10, list(range(10))) == 1.0
    assert flip_signs([-1.0] * 10, [3] * 10) == 1.0


def test_holm_rejects_the_smallest_at_alpha_over_m_and_stops_at_the_first_that_fails() -> None:
    assert reject_by_holm([0.04, 0.01, 0.5], 0.05) == [False, True, False]
    assert reject_by_holm([0.02, 0.01, 0.012], 0.05) == [True, True, True]
    assert reject_by_holm([0.02, 0.02, 0.5], 0.05) == [False, False, False]
    assert reject_by_holm([], 0.05) == []
