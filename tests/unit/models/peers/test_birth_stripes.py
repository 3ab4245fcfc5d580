"""A cohort searched in stripes of births gives the peers of one block, through indexes too."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.peers import ann_index, birth_stripes, cohort_partitions
from models.peers.aggregates import OUTCOMES, RATINGS, aggregate_outcomes
from models.peers.birth_stripes import STRIPE, Candidates, StripeQuestions
from models.peers.patient_embedding import States
from models.peers.search import COLUMNS, search_peers
from tests.unit.models.peers.test_cohort_partitions import asked_of, only
from tests.unit.models.peers.test_search import CLINICS, DAY, FEW, NOW, K, clinic, states_of

Ints = np.ndarray[Any, Any]
WANTED = 2 * K
NAMES = [o.name for o in (*OUTCOMES, *RATINGS)]


def ask_once(random: Random, patients: int) -> tuple[list[int], Ints]:
    """Some patients at some moments, in order, nobody twice at a moment."""
    subjects, moments = asked_of(random, patients)
    pairs = sorted({(int(at), subject) for subject, at in zip(subjects, moments, strict=True)})
    return [subject for _, subject in pairs], np.array([at for at, _ in pairs])


def search_by_stripes(states: States, subjects: list[int], moments: Ints) -> dict[str, Ints]:
    """What ``search_peers`` gives, where only births and outcomes of a whole cohort are looked at together."""
    n, cohort = len(moments), cohort_partitions.find_cohorts(states, subjects, moments)
    embedding = birth_stripes.embed_questions(states, subjects, moments)
    averages, first, last = np.full((n, len(OUTCOMES)), np.nan), np.full(n, np.nan), np.full(n, np.nan)
    indexed = np.zeros(n, bool)
    for c, who in cohort_partitions.list_members(states, moments).items():
        here = np.flatnonzero(cohort == c)
        bands = birth_stripes.find_bands(only(states, who), [subjects[i] for i in here], moments[here], K)
        first[here], last[here], indexed[here], averages[here] = bands.first, bands.last, bands.indexed, bands.cohort
    asked = StripeQuestions(np.array(subjects), moments, embedding, first, last, indexed)
    found, outcomes = search_every_stripe(states, cohort, asked)
    few = np.bincount(found.question, minlength=n) < WANTED
    if (indexed & few).any():
        found, outcomes = search_every_stripe(states, cohort, replace(asked, indexed=indexed & ~few))
    peers = birth_stripes.merge_candidates(found, n, WANTED).astype(np.int32)
    cohorts = {f"cohort_{o.name}": averages[:, column] for column, o in enumerate(OUTCOMES)}
    return {**aggregate_outcomes(outcomes, peers, K), **cohorts, "embedding": embedding}


def search_every_stripe(
    states: States, cohort: Ints, asked: StripeQuestions
) -> tuple[Candidates, dict[str, np.ndarray[Any, Any]]]:
    """Every stripe's candidates for the questions that visit it, and their outcomes."""
    none = np.empty(0, np.int64)
    found, outcomes = [Candidates(none, np.empty(0), none, none)], [states]
    for (c, stripe), who in cohort_partitions.list_stripes(states, asked.at).items():
        rows = np.flatnonzero((cohort == c) & (asked.first // STRIPE <= stripe) & (asked.last // STRIPE >= stripe))
        inside = only(states, who)
        part = StripeQuestions(*(getattr(asked, name)[rows] for name in StripeQuestions.__slots__))
        one = birth_stripes.search_stripe(inside, c, stripe, part, WANTED)
        found.append(replace(one, question=rows[one.question]))
        outcomes.append(inside)
    joined = Candidates(*(np.concatenate([getattr(f, name) for f in found]) for name in Candidates.__slots__))
    read = zip(found, outcomes, strict=True)
    rows_of = [(one.state, inside.outcomes) for one, inside in read]
    return joined, {name: np.concatenate([values[name][row] for row, values in rows_of]) for name in NAMES}


@FEW
@given(random=CLINICS, patients=st.integers(2, 60), indexed=st.booleans())
def test_stripes_of_births_give_the_peers_of_one_block(random: Random, patients: int, indexed: bool) -> None:
    states = states_of(clinic(random, patients))
    subjects, moments = ask_once(random, patients)
    with pytest.MonkeyPatch.context() as patch:
        if indexed:
            patch.setattr(ann_index, "is_worthwhile", lambda members, asked: members > 8)
        together = search_peers(states, subjects, moments, K)
        apart = search_by_stripes(states, subjects, moments)
    for name in COLUMNS:
        np.testing.assert_array_equal(apart[name], together[name], err_msg=name)


@pytest.mark.parametrize("oversample", [0, 1])
def test_indexes_that_overlook_a_peer_overlook_the_same_one_in_stripes(
    oversample: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 0 each index gives one candidate, too few for every question, which is then asked without an index."""
    states = states_of(clinic(Random(5), 700, moments=1))
    subjects, moments = list(range(1, 701)), np.full(700, NOW + 800 * DAY)
    exact = search_peers(states, subjects, moments, K)
    monkeypatch.setattr(ann_index, "is_worthwhile", lambda members, asked: True)
    for name, value in {"OVERSAMPLE": oversample, "EXPANSION_SEARCH": 1, "EXPANSION_ADD": 2, "CONNECTIVITY": 2}.items():
        monkeypatch.setattr(ann_index, name, value)
    together, apart = search_peers(states, subjects, moments, K), search_by_stripes(states, subjects, moments)
    for name in COLUMNS:
        np.testing.assert_array_equal(apart[name], together[name], err_msg=name)
    overlooked = not np.array_equal(together["peer_emergency"], exact["peer_emergency"], equal_nan=True)
    assert overlooked == (oversample > 0)


def test_a_stripe_has_a_part_of_its_cohort_and_nobody_is_in_two_at_a_moment() -> None:
    """So a worker needs a part of the cohort's embeddings: these ages are 20 years, seven stripes or more."""
    states = states_of(clinic(Random(1), 300, moments=1))
    moments = np.array([NOW + 50 * DAY])
    stripes = cohort_partitions.list_stripes(states, moments)
    placed = np.concatenate(list(stripes.values()))
    cohorts = cohort_partitions.list_members(states, moments)
    alive = sum(len(who) for cohort, who in cohorts.items() if cohort != cohort_partitions.NO_COHORT)
    assert len(placed) == len(np.unique(placed)) == alive
    for (cohort, _), who in stripes.items():
        assert len(who) < len(cohorts[cohort]) / 2
