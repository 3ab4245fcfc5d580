"""Searching block by block finds the same peers as searching everybody."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.peers import cohort_partitions
from models.peers.patient_embedding import NEITHER, POSTPARTUM_COHORT, PREGNANT, States
from models.peers.search import COLUMNS, search_peers
from tests.unit.models.peers.test_search import CLINICS, DAY, FEW, NOW, K, clinic, states_of


def asked_of(random: Random, patients: int) -> tuple[list[int], np.ndarray[Any, Any]]:
    """Some patients at some moments, in order; one of them unknown to the clinic."""
    moments = [NOW + day * DAY for day in (-3, 0, 9, 40, 200)]
    pairs = sorted((random.choice(moments), random.randrange(1, patients + 2)) for _ in range(3 * patients))
    return [subject for _, subject in pairs], np.array([moment for moment, _ in pairs])


def only(states: States, who: np.ndarray[Any, Any]) -> States:
    rows = np.isin(states.subject, who)
    arrays = [getattr(states, name)[rows] for name in ("subject", "at", "embedding", "birth", "died", "edd", "lmp")]
    outcomes = {name: values[rows] for name, values in states.outcomes.items()}
    return States(*arrays, since=states.since[rows], ended=states.ended[rows], outcomes=outcomes)


@FEW
@given(random=CLINICS, patients=st.integers(1, 60))
def test_block_by_block_equals_the_search_among_everybody(random: Random, patients: int) -> None:
    states = states_of(clinic(random, patients))
    subjects, moments = asked_of(random, patients)
    together = search_peers(states, subjects, moments, K)
    block = cohort_partitions.find_cohorts(states, subjects, moments)
    donors = cohort_partitions.list_members(states, moments)
    for cohort in np.unique(block):
        here = np.flatnonzero(block == cohort)
        inside = only(states, donors.get(int(cohort), np.array([])))
        found = search_peers(inside, [subjects[i] for i in here], moments[here], K)
        for name in COLUMNS:
            np.testing.assert_array_equal(found[name], together[name][here], err_msg=f"{cohort}, {name}")


def test_nobody_is_compared_outside_their_cohort() -> None:
    """A block has its cohort alone, so the work is the sum over cohorts."""
    states = states_of(clinic(Random(1), 300, moments=1))
    moments = np.array([NOW + 50 * DAY])
    donors = cohort_partitions.list_members(states, moments)
    assert {NEITHER, PREGNANT, POSTPARTUM_COHORT} <= set(donors)
    assert sum(map(len, donors.values())) == len(np.unique(states.subject))
    for cohort, who in donors.items():
        assert (cohort_partitions.find_cohorts(states, who.tolist(), np.full(len(who), moments[0])) == cohort).all()
