"""Find each patient's k nearest peers as of a moment, and aggregate their outcomes.

    N_k(h_t) = the n nearest of { p ≠ i : cohort_t(p) = cohort_t(i), |age_t(p) − age_t(i)| ≤ band },  k ≤ n ≤ 2k

A cohort is pregnant, postpartum (one year) or neither. The age band widens (3, 6, 12 years) until k are found; if even
the widest has fewer than k, there are no peers. h_t is the embedding of ``patient_embedding``.

1. The paper speaks of "signals from clinically similar patients" without saying how; distance and cohorts are ours.
2. Only aggregates leave this module (``aggregates``): never an individual, never the patient asked about, never text.

``search_peers`` sweeps time forward with one current state per patient, so a question at T sees exactly what was known
at T. All questions of one moment are answered together (``exact_knn``), a very large cohort through an index
(``ann_index``). The same neighbours come out for one patient or a thousand.

Run: ``pmlm features build``; ``pmlm evaluate`` (row 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.peers import ann_index, exact_knn
from models.peers.aggregates import OUTCOMES, RATINGS, aggregate_outcomes, average_cohort
from models.peers.exact_knn import Places
from models.peers.patient_embedding import (
    TIME_DIMENSIONS,
    TIME_FIELDS,
    YEAR,
    Floats,
    States,
    assign_cohorts,
    embed_time,
    make_unknown_states,
)

AGE_BANDS_YEARS = (3, 6, 12)
#: Questions whose peers' outcomes are averaged at a time.
AGGREGATED_AT_ONCE = 1 << 16

COLUMNS: tuple[str, ...] = (
    "peers_count",
    *(f"peer_{o.name}" for o in (*OUTCOMES, *RATINGS)),
    *(f"cohort_{o.name}" for o in OUTCOMES),
    "embedding",
)


def search_peers(states: States, subjects: Sequence[int], moments: Places, k: int) -> dict[str, NDArray[Any]]:
    """Find and aggregate the peers of each ``(subject, moment)``.

    ``moments`` ascend, in seconds since 1970. Returns one array per name of ``COLUMNS``, one row per question:
    ``peers_count`` is 0 and every ``peer_*`` NaN where there are fewer than ``k`` peers, ``cohort_*`` NaN where the
    cohort has fewer than ``k`` others; ``embedding`` has shape ``[n, d]``. Donors are the patients in ``states``; a
    subject without a state by then has no peers, and NaN for an embedding.
    """
    if np.any(np.diff(moments) < 0):
        raise ValueError("moments must be in ascending order")
    current = CurrentStates(states)
    asked = current.find_places(subjects)
    embedding = np.full((len(moments), states.embedding.shape[1] + TIME_DIMENSIONS), np.nan, np.float32)
    peers = np.full((len(moments), 2 * k), -1, np.int32)
    cohort = np.full((len(moments), len(OUTCOMES)), np.nan)
    with threadpool_limits(1, "blas"):  # many small products; the blocks of a large one have threads of their own
        for start, stop in find_runs(moments):
            current.advance(int(moments[start]))
            known = current.select_known(asked, start, stop)
            embedding[known] = current.embed(asked[known]) / exact_knn.STEPS
            peers[known] = current.find_nearest(asked[known], k)
            cohort[known] = current.average_cohort(asked[known], k)
    starts = range(0, max(1, len(moments)), AGGREGATED_AT_ONCE)
    parts = [aggregate_outcomes(states.outcomes, peers[start : start + AGGREGATED_AT_ONCE], k) for start in starts]
    return {
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        **{f"cohort_{o.name}": cohort[:, column] for column, o in enumerate(OUTCOMES)},
        "embedding": embedding,
    }


def find_runs(values: Places) -> list[tuple[int, int]]:
    """Start and end of each run of equal values."""
    edges = np.flatnonzero(np.diff(values)) + 1
    return list(zip([0, *edges], [*edges, len(values)], strict=True)) if len(values) else []


class CurrentStates:
    """Every patient's latest state as time moves forward; places are ranks among the donors' ids."""

    def __init__(self, states: States) -> None:
        self.donors, self._place = np.unique(states.subject, return_inverse=True)
        self._states, self._arrival, self._arrived = states, np.argsort(states.at, kind="stable"), 0
        self._arrivals = states.at[self._arrival]
        self.row = np.full(len(self.donors), -1)
        self.now = make_unknown_states(self.donors)
        largest = max(3.0, states.embedding.max(initial=0.0), -states.embedding.min(initial=0.0))
        self._points = exact_knn.allocate_points(len(self.donors), states.embedding.shape[1] + TIME_DIMENSIONS, largest)
        self._by_birth = np.empty(0, np.int64)

    def find_places(self, subjects: Sequence[int]) -> Places:
        """The place of each subject, -1 for those who are no donor."""
        wanted = np.asarray(subjects, dtype=np.int64)
        if not len(self.donors):
            return np.full(len(wanted), -1)
        found = np.searchsorted(self.donors, wanted).clip(max=len(self.donors) - 1)
        return np.where(self.donors[found] == wanted, found, -1)

    def advance(self, moment: int) -> None:
        """Apply every state known by ``moment``; all answers are then as of it."""
        stop = int(np.searchsorted(self._arrivals, moment, side="right"))
        arrived = self._arrival[self._arrived : stop]
        self._arrived, self.moment = stop, moment
        if len(arrived):
            place = self._place[arrived]
            self.row[place] = arrived
            place = np.unique(place)
            self._update(place)

    def _update(self, place: Places) -> None:
        """Replace these patients' states by their newest ones."""
        row, born = self.row[place], self.now.birth[place]
        for name in TIME_FIELDS:
            getattr(self.now, name)[place] = getattr(self._states, name)[row]
        self._points[place, :-TIME_DIMENSIONS] = exact_knn.to_steps(self._states.embedding[row])
        if not np.array_equal(born, self.now.birth[place], equal_nan=True):
            order = np.argsort(self.now.birth, kind="stable")
            self._by_birth = order[: np.count_nonzero(~np.isnan(self.now.birth))]  # nobody is a peer of unknown age

    def select_known(self, asked: Places, start: int, stop: int) -> Places:
        """The questions from ``start`` to ``stop`` whose patient has a state by now."""
        known = start + np.flatnonzero(asked[start:stop] >= 0)
        return known[self.row[asked[known]] >= 0]

    def embed(self, places: Places) -> exact_knn.Points:
        """Embeddings of known patients as of the moment, ``[len(places), d]``, in steps."""
        points = self._points[places]
        points[:, -TIME_DIMENSIONS:] = exact_knn.to_steps(embed_time(self.now, places, self.moment))
        return points

    def assign_cohorts(self, places: Places) -> Places:
        """The cohort of each known patient as of the moment, -1 for the dead."""
        alive = ~(self.now.died[places] <= self.moment)
        return np.where(alive, assign_cohorts(self.now, places, self.moment), -1)

    def find_nearest(self, asked: Places, k: int) -> Places:
        """States of the k … 2k nearest to each known patient, -1 for no more."""
        found = np.full((len(asked), 2 * k), -1, dtype=np.int64)
        for rows, members in self._split_by_cohort(asked):
            found[rows] = self._find_in_cohort(members, asked[rows], k)
        return np.where(found >= 0, self.row[found], -1)

    def find_bands(self, asked: Places, k: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """First and last birth of each known patient's age band (NaN: none), and whether an index is worthwhile."""
        first, last = np.full(len(asked), np.nan), np.full(len(asked), np.nan)
        indexed = np.zeros(len(asked), bool)
        for rows, members in self._split_by_cohort(asked):
            birth = self.now.birth[members]
            low, high = _find_age_bands(birth, self._rank(members, asked[rows]), k)
            there = high > low
            first[rows[there]], last[rows[there]] = birth[low[there]], birth[high[there] - 1]
            indexed[rows] = ann_index.is_worthwhile(len(members), int(np.count_nonzero(there)))
        return first, last, indexed

    def average_cohort(self, asked: Places, k: int) -> Floats:
        """Mean outcomes of the others in each known patient's cohort; NaN for the dead and those of unknown age."""
        found = np.full((len(asked), len(OUTCOMES)), np.nan)
        for rows, members in self._split_by_cohort(asked):
            rows = rows[~np.isnan(self.now.birth[asked[rows]])]
            found[rows] = average_cohort(self._states.outcomes, self.row[members], self.row[asked[rows]], k)
        return found

    def _split_by_cohort(self, asked: Places) -> Iterator[tuple[Places, Places]]:
        """For each cohort the ranks in ``asked`` of its patients, and its members of known age in order of birth."""
        of_asked, of_all = self.assign_cohorts(asked), self.assign_cohorts(self._by_birth)
        for cohort in np.unique(of_asked[of_asked >= 0]):
            yield np.flatnonzero(of_asked == cohort), self._by_birth[of_all == cohort]

    def list_stripe(self, cohort: int, stripe: int) -> Places:
        """A cohort's members who were born in a stripe of births, in order of birth."""
        born = self._by_birth[self.now.birth[self._by_birth] // ann_index.STRIPE == stripe]
        return born[self.assign_cohorts(born) == cohort]

    def _rank(self, members: Places, asked: Places) -> Places:
        """Each patient's rank among ``members``, -1 for who is none."""
        rank = np.full(len(self.donors), -1)
        rank[members] = np.arange(len(members))
        return rank[asked]

    def _find_in_cohort(self, members: Places, asked: Places, k: int) -> Places:
        """The same among one cohort's members in order of birth, as places."""
        birth, rank = self.now.birth[members], self._rank(members, asked)
        low, high = _find_age_bands(birth, rank, k)
        order = np.argsort(rank, kind="stable")
        order = order[high[order] > low[order]]
        found = np.full((len(asked), 2 * k), -1, dtype=np.int64)
        if len(order):
            search = exact_knn.find_nearest
            if ann_index.is_worthwhile(len(members), len(order)):
                search = partial(ann_index.find_nearest, birth=birth)
            found[order] = search(self.embed(members), members, rank[order], low[order], high[order], 2 * k)
        return found


def _find_age_bands(birth: Floats, ranks: Places, k: int) -> tuple[Places, Places]:
    """For each rank by birth, the span of the narrowest age band with ``k`` others.

    Empty where even the widest has fewer, and for -1.
    """
    low, high = np.zeros_like(ranks), np.zeros_like(ranks)
    left = ranks >= 0
    for years in AGE_BANDS_YEARS:
        first = np.searchsorted(birth, birth[ranks[left]] - years * YEAR, side="left")
        last = np.searchsorted(birth, birth[ranks[left]] + years * YEAR, side="right")
        enough = last - first - 1 >= k
        found = np.flatnonzero(left)[enough]
        low[found], high[found] = first[enough], last[enough]
        left[found] = False
    return low, high
