"""A large cohort is searched by an index that overlooks almost nobody; a small one exactly, as ever."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from test_peers import DAY, NOW, clinic, states_of

from models import peer_index, peers
from models.peer_states import States

K = 10
AT = NOW + 50 * DAY


@pytest.fixture(scope="module")
def states() -> States:
    return states_of(clinic(Random(8), 2500, moments=1))


def neighbours(states: States, subjects: list[int]) -> list[set[int]]:
    """Who stands behind each answer."""
    current = peers._Current(states)
    current.advance(AT)
    current.foresee(subjects, K)
    found = [current._nearest(current._place[s], K) for s in subjects]
    return [set() if f is None else set(f.tolist()) for f in found]


def test_the_index_finds_nearly_all_and_only_members_of_the_band(
    states: States, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects = states.subject[:300].tolist()
    exact = neighbours(states, subjects)
    monkeypatch.setattr(peer_index, "LARGE", 100)
    monkeypatch.setattr(peer_index, "MANY", 10)
    indexed = neighbours(states, subjects)
    asked = [(e, i) for e, i in zip(exact, indexed, strict=True) if e]
    assert len(asked) > 200
    assert np.mean([len(e & i) / len(e) for e, i in asked]) >= 0.95
    current = peers._Current(states)
    current.advance(AT)
    for subject, found in zip(subjects, indexed, strict=True):
        place = current._place[subject]
        assert place not in found
        assert all(current.cohort[f] == current.cohort[place] for f in found)
    assert indexed == neighbours(states, subjects)  # built again, the same


def test_counts_are_those_of_an_exact_search(states: States, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects, moments = states.subject.tolist(), np.full(len(states.subject), AT)
    exact = peers.search(states, subjects, moments, K)
    monkeypatch.setattr(peer_index, "LARGE", 100)
    monkeypatch.setattr(peer_index, "MANY", 10)
    indexed = peers.search(states, subjects, moments, K)
    assert indexed["peers_count"] == exact["peers_count"]
    assert str(indexed["embedding"]) == str(exact["embedding"])


def test_a_clinic_of_thousands_needs_no_index(states: States, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("indexed")

    monkeypatch.setattr(peer_index, "candidates", forbidden)
    peers.search(states, states.subject.tolist(), np.full(len(states.subject), AT), K)
