"""A large cohort is searched by index with high recall, a small one exactly."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import numpy as np
import pytest

from models.peers import ann_index, search
from models.peers.exact_knn import Places
from models.peers.patient_embedding import States
from tests.unit.models.peers.test_search import DAY, NOW, clinic, states_of

K = 10
AT = NOW + 50 * DAY


@pytest.fixture(scope="module")
def states() -> States:
    return states_of(clinic(Random(8), 2500, moments=1))


def standing(states: States) -> search.CurrentStates:
    current = search.CurrentStates(states)
    current.advance(AT)
    return current


def neighbours(states: States, asked: Places) -> list[set[int]]:
    """The places of the peers behind each answer."""
    current = standing(states)
    place = {int(row): i for i, row in enumerate(current.row)}
    return [{place[int(row)] for row in rows if row >= 0} for rows in current.find_nearest(asked, K)]


def test_the_index_finds_nearly_all_and_only_members_of_the_band(
    states: States, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = np.arange(300)
    exact = neighbours(states, asked)
    monkeypatch.setattr(ann_index, "is_worthwhile", lambda members, asked: True)
    indexed = neighbours(states, asked)
    found = [(e, i) for e, i in zip(exact, indexed, strict=True) if e]
    assert len(found) > 200
    assert np.mean([len(e & i) / len(e) for e, i in found]) >= 0.95
    current = standing(states)
    birth, cohort = states.birth[current.row], current.assign_cohorts(np.arange(len(current.row)))
    for place, near in enumerate(indexed):
        assert place not in near
        assert all(cohort[n] == cohort[place] for n in near)
        assert all(abs(birth[n] - birth[place]) <= max(search.AGE_BANDS_YEARS) * search.YEAR for n in near)
    assert indexed == neighbours(states, asked)  # built again, the same


def test_counts_are_those_of_an_exact_search(states: States, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects, moments = states.subject.tolist(), np.full(len(states.subject), AT)
    exact = search.search_peers(states, subjects, moments, K)
    monkeypatch.setattr(ann_index, "is_worthwhile", lambda members, asked: True)
    indexed = search.search_peers(states, subjects, moments, K)
    np.testing.assert_array_equal(indexed["peers_count"], exact["peers_count"])
    np.testing.assert_array_equal(indexed["embedding"], exact["embedding"])


def test_a_clinic_of_thousands_needs_no_index(states: States, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("indexed")

    monkeypatch.setattr(ann_index, "build_indexes", forbidden)
    search.search_peers(states, states.subject.tolist(), np.full(len(states.subject), AT), K)


def test_the_encoder_can_be_loaded_after_an_index_was_built() -> None:
    """Where usearch is loaded before torch, compiling the encoder's pass never ends."""
    code = (
        "import numpy as np; from models.peers import ann_index; "
        "ann_index.build_indexes(np.zeros((9, 4), np.float32), np.array([0, 9])); import models.minilm_forward"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_an_index_is_built_where_it_saves_more_than_it_costs() -> None:
    assert not ann_index.is_worthwhile(members=100_000, asked=100_000)  # looking at everybody is as fast
    assert not ann_index.is_worthwhile(members=2_000_000, asked=1000)  # too few to pay for the building
    assert ann_index.is_worthwhile(members=1_000_000, asked=1_000_000)
