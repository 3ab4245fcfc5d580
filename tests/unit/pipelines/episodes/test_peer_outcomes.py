"""An outcome of peers is stated where it beats the cohort on gate patients, whatever befalls test patients."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import numpy as np
import pytest

from models.peers.patient_embedding import DAY, FEATURES, States, build_states
from pipelines import splits
from pipelines.episodes import peer_outcomes

SHARES = splits.SplitParams(gate_share=0.4, test_share=0.2, time_quantile=0.6)
GRID = peer_outcomes.list_grid(datetime(2026, 6, 1, tzinfo=UTC))[-3:]
PATIENTS, K = range(1, 161), 10


def _clinic(like: bool, reverse_tests: bool = False) -> States:
    """Half of the women smoke; they miss more visits than others where ``like`` women are similar."""
    random, rows = Random(4), []
    for subject in PATIENTS:
        smokes = subject % 2 == 0
        chance = (0.85 if smokes else 0.05) if like else 0.45
        if reverse_tests and splits.assign_patient(subject, SHARES) == splits.TEST:
            chance = 1 - chance
        for time in GRID:
            at = int(time.timestamp())
            row: dict[str, Any] = dict.fromkeys(FEATURES) | {"subject_id": subject, "at": at, "condition_codes": []}
            row |= {"birth": at - 30 * 365 * DAY, "smoking": "current" if smokes else "never", "medicine_texts": []}
            row |= {"audit_c_latest": 8 if smokes else 0, "audit_c_time": at, "phq9_latest": 21 if smokes else 0}
            row |= {"phq9_time": at, "gad7_latest": 19 if smokes else 0, "gad7_time": at}
            rows.append(row | {"missed_visit_times": [at - DAY] if random.random() < chance else []})
    columns = {name: [r[name] for r in rows] for name in FEATURES}
    return build_states([r["subject_id"] for r in rows], [r["at"] for r in rows], columns)


@pytest.fixture(scope="module")
def similar() -> States:
    return _clinic(like=True)


def test_an_outcome_that_like_women_share_is_stated_and_no_other(similar: States) -> None:
    found = peer_outcomes.measure_outcomes(similar, SHARES, GRID, K)
    assert {name for name, finding in found.items() if finding.is_stated} == {"missed"}
    assert found["missed"].n >= found["missed"].patients >= peer_outcomes.FEWEST_JUDGES


def test_where_like_women_tell_nothing_nothing_is_stated() -> None:
    found = peer_outcomes.measure_outcomes(_clinic(like=False), SHARES, GRID, K)
    assert not any(finding.is_stated for finding in found.values())


def test_test_patients_change_no_finding(similar: States) -> None:
    other = _clinic(like=True, reverse_tests=True)
    assert not np.array_equal(other.outcomes["missed"], similar.outcomes["missed"])
    found = [peer_outcomes.measure_outcomes(states, SHARES, GRID, K) for states in (similar, other)]
    assert found[0] == found[1]


def test_fewer_gate_patients_than_can_decide_leave_it_unstated(
    similar: States, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_outcomes, "MOST_JUDGES", peer_outcomes.FEWEST_JUDGES - 1)
    found = peer_outcomes.measure_outcomes(similar, SHARES, GRID, K)["missed"]
    assert (found.better, found.is_stated) == (None, False)


def test_the_interval_widens_where_one_patient_gives_many_forecasts() -> None:
    values = np.random.default_rng(0).normal(0.2, 1, 60).repeat(3)
    _, apart = peer_outcomes.estimate_mean(values, list(range(180)))
    _, together = peer_outcomes.estimate_mean(values, np.arange(60).repeat(3).tolist())
    assert together > 1.5 * apart
