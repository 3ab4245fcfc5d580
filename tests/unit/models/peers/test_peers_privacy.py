"""Published groups have k patients by an independent count; the attack measures its gain."""

from __future__ import annotations

from random import Random

import numpy as np
import pandas as pd
import pytest
from pycanon import anonymity

from benchmarks import peers_privacy
from models.peers.patient_embedding import States
from tests.unit.models.peers.test_search import DAY, NOW, by_hand, clinic, peers_at, states_of

K = 10
AT = NOW + 50 * DAY


@pytest.fixture(scope="module")
def states() -> States:
    return states_of(clinic(Random(3), 120, moments=1))


def test_every_published_group_has_k_patients_by_pycanons_count() -> None:
    rows = clinic(Random(2), 90, moments=1)
    everybody, rated = [], []
    for row in rows[:40]:
        published = peers_at(rows, row["subject_id"], AT, K)
        alike = by_hand(rows, row["subject_id"], AT, K)
        assert row["subject_id"] not in {donor["subject_id"] for donor in alike}
        if published["peers_count"]:
            everybody += [(row["subject_id"], donor["subject_id"]) for donor in alike]
        if published["peer_rating_brief"] is not None:
            rated += [(row["subject_id"], d["subject_id"]) for d in alike if d["rating_brief_mean"] is not None]
    for groups in (everybody, rated):
        frame = pd.DataFrame(groups, columns=["query", "donor"])
        assert frame["query"].nunique() > 5
        assert anonymity.k_anonymity(frame, ["query"]) >= K


def test_the_attack_reports_its_gain_the_groups_and_the_patients_not_served(states: States) -> None:
    rows = {row["name"]: row for row in peers_privacy.build_rows(states, AT, pairs=120, patients=120)}
    assert rows["differencing_gain"]["n"] == rows["all_but_one_gain"]["n"] == 120
    assert rows["all_but_one_gain"]["value"] >= 0  # who knows everything but one secret never guesses worse
    assert 0 <= rows["all_but_one_exposed"]["value"] <= rows["all_but_one_exposed"]["baseline"] <= 100
    assert rows["k_by_pycanon"]["holds"]
    assert 0 <= rows["served_all"]["value"] <= 1


def test_the_worst_case_attacker_wins_where_nothing_hides_a_patient(
    states: States, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack is strong: with groups of one, unrounded, it reads nearly every secret."""
    monkeypatch.setattr(peers_privacy, "K", 1)
    clinic = peers_privacy.recombine(states, AT, 60, np.random.default_rng(1))
    guesses = peers_privacy.run_attack(clinic, AT, 150, seed=1, rounded=False)
    guessed = [(g, s) for g, s in zip(guesses.all_but_one, guesses.secret, strict=True) if g is not None]
    assert len(guessed) > 20
    assert all(g == s for g, s in guessed)
