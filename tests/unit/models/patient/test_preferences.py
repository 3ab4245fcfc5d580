"""Preferences are between own ratings and peers', and unknown on thin evidence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.patient.preferences import GLOBAL_MEAN, estimate_preference, shrink_mean

stars = st.floats(1, 5)


@given(mean=stars, prior=stars, count=st.integers(1, 200))
def test_an_estimate_lies_between_her_own_mean_and_the_prior(mean: float, prior: float, count: int) -> None:
    assert min(mean, prior) - 1e-9 <= shrink_mean(mean, count, prior).mean <= max(mean, prior) + 1e-9


@given(mean=stars, prior=stars, count=st.integers(1, 100))
def test_more_ratings_bring_it_nearer_to_her_own_mean_and_make_it_surer(mean: float, prior: float, count: int) -> None:
    few, many = shrink_mean(mean, count, prior), shrink_mean(mean, count + 1, prior)
    assert abs(many.mean - mean) <= abs(few.mean - mean) + 1e-9
    assert many.variance < few.variance


def test_without_ratings_the_prior_stands() -> None:
    assert shrink_mean(None, 0, 4.2).mean == pytest.approx(4.2)


def test_nothing_is_said_without_evidence() -> None:
    silent = estimate_preference({})
    assert (silent.length, silent.brief_probability) == (None, 0.5)
    assert silent.brief.mean == pytest.approx(GLOBAL_MEAN)


def test_one_rating_is_too_little_to_speak() -> None:
    assert estimate_preference({"rating_brief_count": 1, "rating_brief_mean": 5.0}).length is None


def test_consistent_ratings_are_enough() -> None:
    row = {"rating_brief_count": 4, "rating_brief_mean": 2.0, "rating_detailed_count": 4, "rating_detailed_mean": 4.5}
    assert (estimate_preference(row).length, estimate_preference(row).from_peers) == ("detailed", False)


def test_peers_speak_for_a_woman_who_never_rated() -> None:
    found = estimate_preference({"peer_rating_brief": 4.6, "peer_rating_detailed": 3.2})
    assert (found.length, found.from_peers) == ("brief", True)
