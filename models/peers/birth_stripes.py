"""Search a cohort in stripes of births, each small enough for one worker.

    stripe s of cohort c at moments M  =  every state of every patient who is of c and born in s at some T in M
    N(h)  =  the n nearest of the union of each stripe's n nearest, over the stripes that the age band meets

1. ``find_bands``, by cohort, from births and outcomes alone: how wide a band is depends on how many are of the cohort.
2. ``search_stripe``, by stripe: the candidates of each question whose band meets it.
3. ``merge_candidates``: the n nearest of each question's candidates.

Nobody is in two stripes at a moment, and a question visits three stripes in the narrowest band. Distances are whole
numbers and the smaller patient's number breaks ties, so the peers are those of ``search.search_peers``. That has an
index a stripe too (``ann_index``); where the indexes give fewer than n, the question is asked again without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.peers import ann_index, exact_knn
from models.peers.aggregates import OUTCOMES
from models.peers.exact_knn import Places
from models.peers.patient_embedding import TIME_DIMENSIONS, Floats, States
from models.peers.search import CurrentStates, find_runs

STRIPE = ann_index.STRIPE


@dataclass(frozen=True, slots=True)
class Bands:
    """Of each question the first and last birth of its age band (NaN: none), and its cohort's mean outcomes.

    ``indexed`` says whether the cohort at that moment is large enough for an index.
    """

    first: Floats
    last: Floats
    indexed: NDArray[np.bool_]
    cohort: Floats


@dataclass(frozen=True, slots=True)
class StripeQuestions:
    """Questions to one stripe, in order of time: whose, when, their embedding ``[n, d]`` and their band."""

    subject: Places
    at: Places
    embedding: NDArray[np.float32]
    first: Floats
    last: Floats
    indexed: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates of some questions: the question's place, how far, who, and the row of their state."""

    question: Places
    distance: Floats
    donor: Places
    state: Places


def embed_questions(states: States, subjects: Sequence[int], moments: Places) -> NDArray[np.float32]:
    """Embed each patient as of the moment, NaN where nothing is known; ``moments`` ascend."""
    current = CurrentStates(states)
    asked = current.find_places(subjects)
    embedding = np.full((len(moments), states.embedding.shape[1] + TIME_DIMENSIONS), np.nan, np.float32)
    for start, stop in find_runs(moments):
        current.advance(int(moments[start]))
        known = current.select_known(asked, start, stop)
        embedding[known] = current.embed(asked[known]) / exact_knn.STEPS
    return embedding


def find_bands(states: States, subjects: Sequence[int], moments: Places, k: int) -> Bands:
    """Find each question's age band among ``states``, which need no embeddings; ``moments`` ascend."""
    current = CurrentStates(states)
    asked, n = current.find_places(subjects), len(moments)
    found = Bands(np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, bool), np.full((n, len(OUTCOMES)), np.nan))
    for start, stop in find_runs(moments):
        current.advance(int(moments[start]))
        known = current.select_known(asked, start, stop)
        found.first[known], found.last[known], found.indexed[known] = current.find_bands(asked[known], k)
        found.cohort[known] = current.average_cohort(asked[known], k)
    return found


def search_stripe(states: States, cohort: int, stripe: int, asked: StripeQuestions, wanted: int) -> Candidates:
    """Find the ``wanted`` nearest members of one stripe of a cohort to each question, within its age band."""
    current, found = CurrentStates(states), [_no_candidates()]
    with threadpool_limits(1, "blas"):
        for start, stop in find_runs(asked.at):
            current.advance(int(asked.at[start]))
            members = current.list_stripe(cohort, stripe)
            if len(members):
                found.append(_search_members(current, members, asked, np.arange(start, stop), wanted))
    return Candidates(*(np.concatenate([getattr(f, name) for f in found]) for name in Candidates.__slots__))


def merge_candidates(found: Candidates, questions: int, wanted: int) -> Places:
    """Select the places in ``found`` of each question's ``wanted`` nearest candidates, -1 for no more."""
    order = np.lexsort((found.donor, found.distance, found.question))
    question = found.question[order]
    rank = np.arange(len(order)) - np.searchsorted(question, question)
    merged, near = np.full((questions, wanted), -1, dtype=np.int64), rank < wanted
    merged[question[near], rank[near]] = order[near]
    return merged


def find_stripes(birth: Floats) -> Places:
    """Find the stripe of each birth, all known."""
    return (birth // STRIPE).astype(np.int64)


def _search_members(
    current: CurrentStates, members: Places, asked: StripeQuestions, rows: Places, wanted: int
) -> Candidates:
    birth, points, who = current.now.birth[members], current.embed(members), current.donors[members]
    place = current.find_places(asked.subject[rows].tolist())
    among = np.full(len(current.donors) + 1, -1)  # the last, for the patients who are no donor here
    among[members] = np.arange(len(members))
    own = among[place]
    low = np.searchsorted(birth, asked.first[rows], side="left")
    high = np.searchsorted(birth, asked.last[rows], side="right")
    found = [_no_candidates()]
    for indexed, rank in ((False, exact_knn.rank_nearest), (True, ann_index.rank_in_stripe)):
        some = np.flatnonzero((asked.indexed[rows] == indexed) & (high > low))
        some = some[np.argsort(low[some], kind="stable")]
        if len(some):
            origins = exact_knn.to_steps(asked.embedding[rows[some]].astype(np.float64))
            names, away = rank(points, who, own[some], low[some], high[some], wanted, origins)
            question, column = np.nonzero(names >= 0)
            donor = names[question, column]
            state = current.row[current.find_places(donor.tolist())]
            found.append(Candidates(rows[some[question]], away[question, column].astype(np.float64), donor, state))
    return Candidates(*(np.concatenate([getattr(f, name) for f in found]) for name in Candidates.__slots__))


def _no_candidates() -> Candidates:
    none = np.empty(0, np.int64)
    return Candidates(none, np.empty(0), none, none)
