"""Find each patient's k nearest peers as of a moment, and aggregate outcomes.

    N_k(h_t) = the n nearest of { p ≠ i : cohort_t(p) = cohort_t(i), |age_t(p) − age_t(i)| ≤ band },  k ≤ n ≤ 2k
    peer_o   = coarsen( mean of outcome o over N_k )    if at least k of them have it, else nothing

A cohort is pregnant, postpartum (one year) or neither. The age band widens (3, 6, 12 years) until k are found; if even
the widest has fewer than k, there is no aggregate. h_t is the embedding of ``patient_embedding``.

1. The paper speaks of "signals from clinically similar patients" without saying how; distance, cohorts and k-anonymity
   are ours.
2. This is not differential privacy: an aggregate of at least k patients, rounded, never an individual, never the
   patient asked about, never text.

``search_peers`` sweeps time forward with one current state per patient, so a question at T sees exactly what was known
at T. All questions of one moment are answered together (``exact_knn``), a very large cohort through an index
(``ann_index``). The same neighbours come out for one patient or a thousand.

Run: ``pmlm features build``; ``pmlm evaluate`` (row 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.peers import ann_index, exact_knn
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


@dataclass(frozen=True, slots=True)
class PeerStatistic:
    """One thing said of peers: its feature is ``peer_<name>``, rounded to ``step`` of ``unit``."""

    name: str
    label: str
    unit: str
    step: float


#: What is said of peers; each reads one column of ``States.outcomes`` of the same name.
OUTCOMES: tuple[PeerStatistic, ...] = (
    PeerStatistic("anaemia", "have anaemia", "%", 5),
    PeerStatistic("gestational_diabetes", "have gestational diabetes", "%", 5),
    PeerStatistic("hypertension", "have high blood pressure or pre-eclampsia", "%", 5),
    PeerStatistic("depression", "have depression", "%", 5),
    PeerStatistic("iron", "take iron", "%", 5),
    PeerStatistic("emergency", "had an emergency visit within a year", "%", 5),
    PeerStatistic("missed", "missed a visit within a year", "%", 5),
    PeerStatistic("weight_gain", "weight change a week", "kg/wk", 0.1),
)

#: How peers rated brief and detailed replies: the cold start of ``models.patient.preferences``, never a sentence of
#: its own.
RATINGS: tuple[PeerStatistic, ...] = (
    PeerStatistic("rating_brief", "rate brief replies", "points", 0.25),
    PeerStatistic("rating_detailed", "rate detailed replies", "points", 0.25),
)

COLUMNS: tuple[str, ...] = (
    "peers_count",
    *(f"peer_{o.name}" for o in (*OUTCOMES, *RATINGS)),
    "embedding",
)


def coarsen(value: float, step: float) -> float:
    """``value`` rounded to a multiple of ``step`` (an integer number of steps, so that equal values print alike)."""
    return round(round(value / step) * step, 10)


def search_peers(states: States, subjects: Sequence[int], moments: Places, k: int) -> dict[str, NDArray[Any]]:
    """Peers of each ``(subject, moment)``, moments in ascending order as seconds since 1970.

    Returns an array a name of ``COLUMNS``, a row a question: ``peers_count`` is 0 and every ``peer_*`` NaN where fewer
    than ``k`` are alike, ``embedding`` has shape ``[n, d]``. Donors are the patients in ``states``; a subject without a
    state by then has no peers, and NaN for an embedding.
    """
    if np.any(np.diff(moments) < 0):
        raise ValueError("moments must be in ascending order")
    current = _CurrentStates(states)
    asked = current.places(subjects)
    embedding = np.full((len(moments), states.embedding.shape[1] + TIME_DIMENSIONS), np.nan, np.float32)
    alike = np.full((len(moments), 2 * k), -1, np.int32)
    with threadpool_limits(1, "blas"):  # small products, many: the blocks of a large one have threads of their own
        for start, stop in _find_runs(moments):
            current.advance(int(moments[start]))
            known = start + np.flatnonzero(asked[start:stop] >= 0)
            known = known[current.row[asked[known]] >= 0]
            embedding[known] = current.points(asked[known]) / exact_knn.STEPS
            alike[known] = current.nearest(asked[known], k)
    said = [
        _aggregate(states, alike[start : start + AGGREGATED_AT_ONCE], k)
        for start in range(0, max(1, len(moments)), AGGREGATED_AT_ONCE)
    ]
    return {name: np.concatenate([part[name] for part in said]) for name in said[0]} | {"embedding": embedding}


def _find_runs(values: Places) -> list[tuple[int, int]]:
    """Start and end of each run of equal values."""
    edges = np.flatnonzero(np.diff(values)) + 1
    return list(zip([0, *edges], [*edges, len(values)], strict=True)) if len(values) else []


class _CurrentStates:
    """Every patient's latest state as time moves forward. A patient's place is her rank among the donors' ids."""

    def __init__(self, states: States) -> None:
        self.donors, self._place = np.unique(states.subject, return_inverse=True)
        self._states, self._arrival, self._arrived = states, np.argsort(states.at, kind="stable"), 0
        self._arrivals = states.at[self._arrival]
        self.row = np.full(len(self.donors), -1)
        self._now = make_unknown_states(self.donors)
        largest = max(3.0, states.embedding.max(initial=0.0), -states.embedding.min(initial=0.0))
        self._points = exact_knn.allocate_points(len(self.donors), states.embedding.shape[1] + TIME_DIMENSIONS, largest)
        self._by_birth = np.empty(0, np.int64)

    def places(self, subjects: Sequence[int]) -> Places:
        """The place of each subject, -1 for those who are no donor."""
        wanted = np.asarray(subjects, dtype=np.int64)
        if not len(self.donors):
            return np.full(len(wanted), -1)
        found = np.searchsorted(self.donors, wanted).clip(max=len(self.donors) - 1)
        return np.where(self.donors[found] == wanted, found, -1)

    def advance(self, moment: int) -> None:
        """Take in every state known by ``moment`` and look at all patients as of it."""
        stop = int(np.searchsorted(self._arrivals, moment, side="right"))
        arrived = self._arrival[self._arrived : stop]
        self._arrived, self.moment = stop, moment
        if len(arrived):
            place = self._place[arrived]
            self.row[place] = arrived
            place = np.unique(place)
            self._take_in(place)

    def _take_in(self, place: Places) -> None:
        """Bring what stands of these patients up to their newest states."""
        row, born = self.row[place], self._now.birth[place]
        for name in TIME_FIELDS:
            getattr(self._now, name)[place] = getattr(self._states, name)[row]
        self._points[place, :-TIME_DIMENSIONS] = exact_knn.to_steps(self._states.embedding[row])
        if not np.array_equal(born, self._now.birth[place], equal_nan=True):
            order = np.argsort(self._now.birth, kind="stable")
            self._by_birth = order[: np.count_nonzero(~np.isnan(self._now.birth))]  # of unknown age is nobody's peer

    def points(self, places: Places) -> exact_knn.Points:
        """The embeddings of known patients as of the moment, ``[len(places), d]``, in steps."""
        points = self._points[places]
        points[:, -TIME_DIMENSIONS:] = exact_knn.to_steps(embed_time(self._now, places, self.moment))
        return points

    def cohort(self, places: Places) -> Places:
        """The cohort of each known patient as of the moment, -1 for the dead."""
        alive = ~(self._now.died[places] <= self.moment)
        return np.where(alive, assign_cohorts(self._now, places, self.moment), -1)

    def nearest(self, asked: Places, k: int) -> Places:
        """The states of the k … 2k nearest to each known patient in the narrowest band that holds k; -1 for no more."""
        found = np.full((len(asked), 2 * k), -1, dtype=np.int64)
        theirs, everybodys = self.cohort(asked), self.cohort(self._by_birth)
        for cohort in np.unique(theirs[theirs >= 0]):
            of = np.flatnonzero(theirs == cohort)
            found[of] = self._within(self._by_birth[everybodys == cohort], asked[of], k)
        return np.where(found >= 0, self.row[found], -1)

    def _within(self, members: Places, asked: Places, k: int) -> Places:
        """The same among one cohort's members in order of birth, as places."""
        birth, at = self._now.birth[members], np.full(len(self.donors), -1)
        at[members] = np.arange(len(members))
        hers = at[asked]
        low, high = _find_age_bands(birth, hers, k)
        order = np.argsort(hers, kind="stable")
        order = order[high[order] > low[order]]
        found = np.full((len(asked), 2 * k), -1, dtype=np.int64)
        if len(order):
            search = exact_knn.find_nearest
            if ann_index.is_worthwhile(len(members), len(order)):
                search = partial(ann_index.find_nearest, birth=birth)
            found[order] = search(self.points(members), members, hers[order], low[order], high[order], 2 * k)
        return found


def _aggregate(states: States, alike: NDArray[np.int32], k: int) -> dict[str, NDArray[Any]]:
    """What is said of each row of states that are alike: their number, and of an outcome that ``k`` have the mean."""
    there = alike >= 0
    said: dict[str, NDArray[Any]] = {"peers_count": there.sum(axis=1)}
    for o in (*OUTCOMES, *RATINGS):
        values = np.full(alike.shape, np.nan)
        values[there] = states.outcomes[o.name][alike[there]]
        said[f"peer_{o.name}"] = _average(values, k, o.step)
    return said


def _find_age_bands(birth: Floats, hers: Places, k: int) -> tuple[Places, Places]:
    """For each of ``hers`` among members in order of birth the span of the narrowest band that holds ``k`` others.

    Empty where even the widest holds fewer, and for -1.
    """
    low, high = np.zeros_like(hers), np.zeros_like(hers)
    left = hers >= 0
    for years in AGE_BANDS_YEARS:
        first = np.searchsorted(birth, birth[hers[left]] - years * YEAR, side="left")
        last = np.searchsorted(birth, birth[hers[left]] + years * YEAR, side="right")
        enough = last - first - 1 >= k
        found = np.flatnonzero(left)[enough]
        low[found], high[found] = first[enough], last[enough]
        left[found] = False
    return low, high


def _average(values: Floats, k: int, step: float) -> Floats:
    """The mean of each row's numbers, coarsened; NaN where fewer than ``k`` are known."""
    # sorted, and added up in rows of one length: the sum of floats must not depend on who is nearest among the same
    values = np.sort(values, axis=1)
    known = np.count_nonzero(~np.isnan(values), axis=1)
    said = np.full(len(values), np.nan)
    for length in np.unique(known[known >= k]):
        rows = known == length
        means, back = np.unique(np.ascontiguousarray(values[rows, :length]).sum(axis=1) / length, return_inverse=True)
        said[rows] = np.array([coarsen(float(mean), step) for mean in means])[back]
    return said
