"""Peer-informed personalisation: what is known of the women most like her, as of a moment and only as an aggregate.

    N_k(h_t) = the n nearest of { p ≠ her : cohort_t(p) = cohort_t(her), |age_t(p) − age_t(her)| ≤ band },  k ≤ n ≤ 2k
    peer_o   = coarsen( mean of outcome o over N_k )    if at least k of them have it, else nothing

A cohort is pregnant, postpartum (a year) or neither. The age band widens (3, 6, 12 years) until k are found; if even
the widest holds fewer than k, nothing is said. h_t is the embedding of ``models.peer_states``. The paper speaks of
"signals from clinically similar patients" without saying how; distance, cohorts and k-anonymity are ours. This is not
differential privacy: an aggregate of at least k women, rounded, never an individual, never the patient herself, never
text.

``search`` sweeps time forward and keeps one current state for each patient, so a question at T sees exactly what was
known at T. Distances are sums of exact fractions: the same neighbours come out for one patient or a thousand, on any
machine. A cohort of tens of thousands is searched through an index, see ``models.peer_index``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import peer_index
from models.peer_states import YEAR, States, cohorts, moving

AGE_BANDS_YEARS = (3, 6, 12)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing said of peers: its feature is ``peer_<name>``, rounded to ``step`` of ``unit``."""

    name: str
    label: str
    unit: str
    step: float


#: What is said of peers; each reads one column of ``States.outcomes`` of the same name.
OUTCOMES: tuple[Outcome, ...] = (
    Outcome("anaemia", "have anaemia", "%", 5),
    Outcome("gestational_diabetes", "have gestational diabetes", "%", 5),
    Outcome("hypertension", "have high blood pressure or pre-eclampsia", "%", 5),
    Outcome("depression", "have depression", "%", 5),
    Outcome("iron", "take iron", "%", 5),
    Outcome("emergency", "had an emergency visit within a year", "%", 5),
    Outcome("missed", "missed a visit within a year", "%", 5),
    Outcome("weight_gain", "weight change a week", "kg/wk", 0.1),
)

#: How peers rated brief and detailed replies: the cold start of ``models.preferences``, never a sentence of its own.
RATINGS: tuple[Outcome, ...] = (
    Outcome("rating_brief", "rate brief replies", "points", 0.25),
    Outcome("rating_detailed", "rate detailed replies", "points", 0.25),
)

COLUMNS: tuple[str, ...] = (
    "peers_count",
    *(f"peer_{o.name}" for o in (*OUTCOMES, *RATINGS)),
    "embedding",
)


def coarsen(value: float, step: float) -> float:
    """``value`` rounded to a multiple of ``step`` (an integer number of steps, so that equal values print alike)."""
    return round(round(value / step) * step, 10)


def search(states: States, subjects: Sequence[int], moments: NDArray[np.int64], k: int) -> dict[str, list]:
    """Peers of each ``(subject, moment)``, moments in ascending order as seconds since 1970.

    Returns one list a name of ``COLUMNS``: ``peers_count`` is 0 and everything but the embedding None where fewer
    than ``k`` are alike. Donors are the patients in ``states``; a subject without a state by then has no peers and no
    embedding.
    """
    if np.any(np.diff(moments) < 0):
        raise ValueError("moments must be in ascending order")
    current = _Current(states)
    out: dict[str, list] = {name: [] for name in COLUMNS}
    for start, stop in _runs(moments):
        current.advance(int(moments[start]))
        current.foresee(subjects[start:stop], k)
        for subject in subjects[start:stop]:
            for name, value in current.peers_of(subject, k).items():
                out[name].append(value)
    return out


def _runs(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Start and end of each run of equal values."""
    edges = np.flatnonzero(np.diff(values)) + 1
    return list(zip([0, *edges], [*edges, len(values)], strict=True)) if len(values) else []


class _Current:
    """Every patient's latest state as time moves forward; donors keep the order of their ids, which breaks ties."""

    def __init__(self, states: States) -> None:
        self.states = states
        self.donors, self._slot = np.unique(states.subject, return_inverse=True)
        self._arrival = np.argsort(states.at, kind="stable")
        self._arrived = 0
        self.row = np.full(len(self.donors), -1)
        self._place = {int(s): i for i, s in enumerate(self.donors)}
        self._candidates: dict[int, NDArray[np.int64]] = {}

    def advance(self, moment: int) -> None:
        """Take in every state known by ``moment`` and look at all patients as of it."""
        states, stop = self.states, int(np.searchsorted(self.states.at[self._arrival], moment, side="right"))
        arrived = self._arrival[self._arrived : stop]
        self.row[self._slot[arrived]] = arrived
        self._arrived = stop
        self.known = self.row >= 0
        self.cohort = np.where(self.known & ~(states.died[self.row] <= moment), cohorts(states, self.row, moment), -1)
        self.age = (moment - states.birth[self.row]) / YEAR
        self.embedding = np.hstack([states.embedding[self.row], moving(states, self.row, moment)])

    def foresee(self, subjects: Sequence[int], k: int) -> None:
        """Index the cohorts so large, and asked of by so many at this moment, that an index pays."""
        self._candidates = {}
        places = np.array(
            [p for p in map(self._place.get, subjects) if p is not None and self.known[p]], dtype=np.int64
        )
        for cohort in np.unique(self.cohort[places]):
            members, asked = np.flatnonzero(self.cohort == cohort), places[self.cohort[places] == cohort]
            if cohort >= 0 and peer_index.worthwhile(len(members), len(asked)):
                self._candidates |= peer_index.candidates(self.embedding, members, asked.tolist(), 2 * k)

    def peers_of(self, subject: int, k: int) -> dict[str, object]:
        nothing: dict[str, object] = dict.fromkeys(COLUMNS) | {"peers_count": 0}
        place = self._place.get(subject)
        if place is None or not self.known[place]:
            return nothing
        nothing["embedding"] = self.embedding[place].copy()  # a view would keep everybody's, one table a moment
        nearest = self._nearest(place, k)
        return nothing if nearest is None else nothing | self._aggregate(nearest, k)

    def _nearest(self, place: int, k: int) -> NDArray[np.int64] | None:
        """Slots of the k … 2k nearest donors in the narrowest band that holds k, or None."""
        indexed = self._candidates.get(place)
        if indexed is not None:
            close = indexed[np.abs(self.age[indexed] - self.age[place]) <= AGE_BANDS_YEARS[0]]
            if len(close) >= 2 * k:  # then the narrowest band holds k, and nobody outside it is needed
                return self._in_order(np.sort(close), place, k)
        alike = self.known & (self.cohort == self.cohort[place]) & (self.cohort >= 0)
        alike[place] = False
        apart = np.abs(self.age - self.age[place])
        for years in AGE_BANDS_YEARS:
            found = np.flatnonzero(alike & (apart <= years))
            if len(found) >= k:
                return self._in_order(found, place, k)
        return None

    def _in_order(self, found: NDArray[np.int64], place: int, k: int) -> NDArray[np.int64]:
        """The 2k nearest of some slots, ties in the order of ids."""
        away = ((self.embedding[found] - self.embedding[place]) ** 2).sum(axis=1)
        return found[np.argsort(away, kind="stable")[: 2 * k]]

    def _aggregate(self, nearest: NDArray[np.int64], k: int) -> dict[str, object]:
        said: dict[str, object] = {"peers_count": len(nearest)}
        for o in (*OUTCOMES, *RATINGS):
            values = self.states.outcomes[o.name][self.row[nearest]]
            values = values[~np.isnan(values)]
            if len(values) >= k:
                # sorted: the sum of floats must not depend on who is nearest among the same women
                said[f"peer_{o.name}"] = coarsen(float(np.sort(values).sum()) / len(values), o.step)
        return said
