"""Estimates lie between cohort and peers by the peers' support, and only those that beat the cohort are stated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.peers.outcome_estimates import (
    OutcomeFinding,
    estimate_outcomes,
    fit_support,
    load_findings,
    save_findings,
    shrink_outcomes,
)

BETTER = OutcomeFinding(support=20.0, better=0.1, ci_low=0.02, ci_high=0.2, n=300, patients=60)
UNSURE = OutcomeFinding(support=20.0, better=0.1, ci_low=-0.02, ci_high=0.2, n=300, patients=60)
ROW = {"peers_count": 20, "peer_missed": 60.0, "cohort_missed": 20.0, "peer_iron": 50.0, "cohort_iron": 10.0}


def test_twenty_peers_against_a_support_of_twenty_go_half_the_way() -> None:
    (found,) = estimate_outcomes(ROW, {"missed": BETTER})
    assert (found.outcome.name, found.value, found.peers) == ("missed", 40.0, 20)


def test_what_does_not_beat_the_cohort_is_estimated_but_never_stated() -> None:
    findings = {"missed": UNSURE}
    assert [e.value for e in shrink_outcomes(ROW, findings)] == [40.0]
    assert estimate_outcomes(ROW, findings) == []
    assert estimate_outcomes(ROW, {}) == []


def test_peers_that_weigh_nothing_leave_the_cohorts_mean() -> None:
    nothing = OutcomeFinding(None, 0.0, 0.1, 0.2, 300, 60)
    assert [e.value for e in shrink_outcomes(ROW, {"missed": nothing})] == [20.0]
    assert not nothing.is_stated


@pytest.mark.parametrize("missing", ["peers_count", "peer_missed", "cohort_missed"])
def test_nothing_is_estimated_without_peers_or_without_a_cohort(missing: str) -> None:
    assert estimate_outcomes({**ROW, missing: None}, {"missed": BETTER}) == []


@given(st.floats(0.05, 0.95), st.integers(0, 10**6))
def test_the_support_is_that_of_the_weight_that_predicts_best(weight: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    cohort, peers = np.full(500, 20.0), random.uniform(0, 100, 500)
    later = cohort + weight * (peers - cohort)
    support = fit_support(later, peers, cohort, np.full(500, 20.0))
    assert support is not None
    assert 20 / (20 + support) == pytest.approx(weight, abs=1e-4)


def test_peers_that_predict_the_opposite_or_never_differ_have_no_support() -> None:
    cohort, peers, count = np.full(3, 20.0), np.array([0.0, 20.0, 40.0]), np.full(3, 20.0)
    assert fit_support(np.array([40.0, 20.0, 0.0]), peers, cohort, count) is None
    assert fit_support(np.array([0.0, 100.0, 0.0]), cohort, cohort, count) is None


def test_findings_come_back_as_they_were_saved_and_an_old_release_has_none(tmp_path: Path) -> None:
    assert load_findings(tmp_path) == {}
    save_findings(tmp_path, {"missed": BETTER, "iron": OutcomeFinding(None, None, None, None, 0, 0)})
    assert load_findings(tmp_path)["missed"] == BETTER
    assert not load_findings(tmp_path)["iron"].is_stated
