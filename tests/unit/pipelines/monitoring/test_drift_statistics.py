"""Column tests: valid p-values, Holm's correction, no effect of row order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from evidently.legacy.calculations.stattests.registry import get_stattest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.monitoring.column_tests import (
    ColumnComparison,
    ColumnPair,
    apply_holm,
    compare_column,
    compute_category_distance,
    compute_homogeneity_p,
    compute_ks_p,
)

categories = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=5, max_size=40)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def _with_p(p: float, i: int) -> ColumnComparison:
    return ColumnComparison(f"column {i}", "ks", 60, 600, p, 0.0, False, 1.0)


def _pair(now: pd.Series, then: pd.Series, patients: tuple[int, int] | None = None) -> ColumnPair:
    return ColumnPair("x", now, then, patients or (len(now), len(then)))


@given(categories, categories, st.randoms())
def test_order_of_rows_changes_no_category_score(now: list[str], then: list[str], random: object) -> None:
    shuffled = [*now]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert compute_homogeneity_p(pd.Series(now), pd.Series(then)) == compute_homogeneity_p(
        pd.Series(shuffled), pd.Series(then)
    )


@pytest.mark.parametrize("n", [100, 1_000])
def test_order_of_rows_changes_no_numeric_score(n: int) -> None:
    rng = np.random.default_rng(1)
    now, then = pd.Series(rng.normal(size=n)), pd.Series(rng.normal(size=3 * n))
    shuffled = now.sample(frac=1, random_state=2).reset_index(drop=True)
    assert compare_column(_pair(now, then)).score == pytest.approx(compare_column(_pair(shuffled, then)).score)


@given(categories)
def test_equal_samples_are_as_alike_as_can_be(values: list[str]) -> None:
    assert compute_homogeneity_p(pd.Series(values), pd.Series(values)) == 1.0


def test_rare_categories_raise_no_more_alarms_than_alpha() -> None:
    rng = np.random.default_rng(3)
    rates = rng.dirichlet(np.full(60, 0.3))
    alarms = 0
    for _ in range(100):
        now, then = (pd.Series(rng.choice(60, n, p=rates).astype(str)) for n in (60, 180))
        alarms += compute_homogeneity_p(now, then) <= 0.05
    assert alarms <= 11  # 100 × 0.05 = 5 expected; 11 is the 99.5th percentile of that binomial


def test_a_code_never_seen_before_is_detected() -> None:
    then = pd.Series(["a", "b", "c"] * 100)
    now = pd.Series(["a", "b", "c"] * 15 + ["new"] * 12)
    assert compute_homogeneity_p(now, then) < 0.001


def test_a_feature_that_goes_null_passes_holm_over_many_columns_although_patients_come_twice() -> None:
    then, now = pd.Series(["no"] * 570 + ["yes"] * 15), pd.Series(["yes"] * 43)
    compared = compare_column(_pair(now, then, patients=(43, 132)))
    quiet = [_with_p(0.5, i) for i in range(200)]
    assert apply_holm([compared, *quiet], 0.001)[0].drifted


def test_two_categories_of_patients_who_come_often_raise_no_more_alarms_than_alpha() -> None:
    rng, alarms = np.random.default_rng(5), 0
    for _ in range(200):
        often = np.repeat(rng.random(60) < 0.2, 5)
        now, then = (pd.Series(np.where(side, "yes", "no")) for side in (rng.random(40) < 0.2, often))
        alarms += compare_column(_pair(now, then, patients=(40, 60))).score <= 0.05
    assert alarms <= 19  # 200 × 0.05 = 10 expected; 19 is beyond the 99.5th percentile of that binomial


@given(p_values, st.floats(0.001, 0.2))
def test_holm_rejects_what_the_textbook_rejects(ps: list[float], alpha: float) -> None:
    rejected = [c.drifted for c in apply_holm([_with_p(p, i) for i, p in enumerate(ps)], alpha)]
    order = sorted(range(len(ps)), key=lambda i: (ps[i], f"column {i}"))
    adjusted = np.maximum.accumulate([(len(ps) - rank) * ps[i] for rank, i in enumerate(order)])
    expected = {i for i, p in zip(order, adjusted, strict=True) if p < alpha}
    borderline = {i for i, p in zip(order, adjusted, strict=True) if p == pytest.approx(alpha)}
    assert {i for i, yes in enumerate(rejected) if yes} - borderline == expected - borderline


@given(p_values)
def test_holm_threshold_alone_tells_the_decision(ps: list[float]) -> None:
    assert all(
        c.drifted == (c.score <= c.threshold) for c in apply_holm([_with_p(p, i) for i, p in enumerate(ps)], 0.05)
    )


def test_a_difference_that_is_significant_and_small_is_no_drift() -> None:
    rng = np.random.default_rng(5)
    now, then = pd.Series(rng.normal(0.03, 1, 100_000)), pd.Series(rng.normal(0, 1, 100_000))
    (small,) = apply_holm([compare_column(_pair(now, then))], 0.01)
    assert small.score <= small.threshold
    assert not small.drifted
    (large,) = apply_holm([compare_column(_pair(now + 0.2, then))], 0.01)
    assert large.drifted


def test_many_rare_codes_are_no_drift_of_a_large_night() -> None:
    """The distance between two samples of a hundred codes is large by chance alone."""
    rng = np.random.default_rng(6)
    now, then = (pd.Series(rng.integers(150, size=n).astype(str)) for n in (1_000, 30_000))
    (found,) = apply_holm([compare_column(_pair(now, then))], 0.01)
    assert found.distance > 0.1
    assert not found.drifted


@pytest.mark.parametrize("numbers", [True, False])
def test_values_of_the_same_patients_count_once(numbers: bool) -> None:
    """Each value five times over says no more than once."""
    rng = np.random.default_rng(7)
    now, then = rng.normal(0.6, 1, 40), rng.normal(0, 1, 400)
    tonight, window = (pd.Series(side if numbers else side.round().clip(-1, 1).astype(str)) for side in (now, then))
    tonight_5, window_5 = (pd.concat([side] * 5, ignore_index=True) for side in (tonight, window))
    once = compare_column(_pair(tonight, window)).score
    assert compare_column(_pair(tonight_5, window_5, patients=(40, 400))).score == pytest.approx(once, rel=0.35)
    assert compare_column(_pair(tonight_5, window_5)).score < once / 5


def test_with_one_value_a_patient_the_p_value_is_evidentlys() -> None:
    rng = np.random.default_rng(8)
    now, then = pd.Series(rng.normal(size=30)), pd.Series(rng.normal(size=300))
    assert compute_ks_p(now, then) == pytest.approx(scipy.stats.ks_2samp(now, then).pvalue)


@given(categories, categories)
def test_the_distance_of_categories_is_evidentlys(now: list[str], then: list[str]) -> None:
    current, reference = pd.Series(now), pd.Series(then)
    theirs = get_stattest(reference, current, "cat", "jensenshannon")(reference, current, "cat", 0.1).drift_score
    assert compute_category_distance(current, reference) == pytest.approx(theirs, abs=1e-6)
