"""Approximate kNN (HNSW) with exact re-ranking.

    candidates(h) = of each stripe of births that the patient's age band meets the m nearest by HNSW
    N(h)          = the n nearest of those within the age band

1. ``usearch`` has no filter in Python, and a filtered walk through a graph loses its recall. So there is one index per
   cohort and stripe of three years of births, of which an age band meets a few.
2. Candidates outside the band are left out, and distances are computed again from the points.
3. Where fewer than n candidates are in the band, the search is exact. An answer always consists of real members of the
   band, in exact order; an index can only overlook one.
4. Each graph is built by one thread: the same cohort gives the same graphs.

Run: ``make bench-features`` (rows ``peers_*``).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from models.peers import exact_knn
from models.peers.exact_knn import Nearest, Places, Points
from models.peers.patient_embedding import YEAR, Floats

if TYPE_CHECKING:
    from usearch.index import Index

#: Microseconds on two cores: exact search per member and question, index search per question, building per member
#: (the rows ``peers_*`` of ``make bench-features``).
EXACT_US, SEARCH_US, BUILD_US = 0.0014, 220.0, 28.0
STRIPE = 3 * YEAR
OVERSAMPLE = 2
CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 32, 64, 80
#: Questions at a time: the points of all their candidates are in memory.
ROWS = 512


def is_worthwhile(members: int, asked: int) -> bool:
    """Whether an index saves more than it costs for ``asked`` questions of ``members``."""
    return asked * (members * EXACT_US - SEARCH_US) > members * BUILD_US


def find_nearest(
    points: Points, names: Places, asked: Places, low: Places, high: Places, wanted: int, birth: Floats
) -> Places:
    """Find the ``wanted`` nearest as ``exact_knn.find_nearest`` does; now and then one is overlooked.

    ``birth`` is each member's time of birth in seconds, ascending.
    """
    starts = find_stripe_edges(birth)
    found, _ = _rank_through_indexes(starts, points, names, asked, low, high, wanted)
    few = np.flatnonzero(found[:, -1] < 0)
    found[few] = exact_knn.find_nearest(points, names, asked[few], low[few], high[few], wanted)
    return found


def rank_in_stripe(
    points: Points, names: Places, asked: Places, low: Places, high: Places, wanted: int, origins: Points
) -> Nearest:
    """Rank the candidates of one stripe of births as ``find_nearest`` does; arguments as ``exact_knn.rank_nearest``.

    Distances are those of the points, to be compared with those of other stripes.
    """
    return _rank_through_indexes(np.array([0, len(points)]), points, names, asked, low, high, wanted, origins)


def _rank_through_indexes(
    starts: Places,
    points: Points,
    names: Places,
    asked: Places,
    low: Places,
    high: Places,
    wanted: int,
    origins: Points | None = None,
) -> Nearest:
    indexes = build_indexes(points, starts)
    found, far = np.full((len(asked), wanted), -1, dtype=np.int64), np.full((len(asked), wanted), np.inf)
    for start in range(0, len(asked), ROWS):
        rows = slice(start, start + ROWS)
        origin = points[asked[rows]] if origins is None else origins[rows].astype(points.dtype)
        found[rows], far[rows] = rank_candidates(
            indexes, starts, points, names, asked[rows], low[rows], high[rows], wanted, origin
        )
    return found, far


def find_stripe_edges(birth: Floats) -> Places:
    """Places at which a stripe of births begins, then the number of members."""
    return np.array([0, *(np.flatnonzero(np.diff(birth // STRIPE)) + 1), len(birth)])


def build_indexes(points: Points, starts: Places) -> list[Index]:
    """Build one index per stripe, its keys being places."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda ends: _build_index(points, *ends), pairwise(starts.tolist())))


def _build_index(points: Points, start: int, stop: int) -> Index:
    import torch  # noqa: F401  # where usearch comes first, torch.jit.script never ends (torch 2.13, usearch 2.26)
    from usearch.index import Index

    index = Index(
        ndim=points.shape[1],
        metric="l2sq",
        dtype="f32",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION_SEARCH,
    )
    index.add(np.arange(start, stop), points[start:stop].astype(np.float32), threads=1)
    return index


def rank_candidates(
    indexes: list[Index],
    starts: Places,
    points: Points,
    names: Places,
    asked: Places,
    low: Places,
    high: Places,
    wanted: int,
    origins: Points,
) -> Nearest:
    """Select the ``wanted`` candidates nearest to ``origins`` within each span; -1 and infinite for no more."""
    first = np.searchsorted(starts, low, side="right") - 1
    stripes = np.searchsorted(starts, high, side="left") - first
    many = OVERSAMPLE * wanted + 1
    keys = np.full((len(asked), int(stripes.max()) * many), -1)
    for stripe in range(int(first.min()), int((first + stripes).max())):
        rows = np.flatnonzero((first <= stripe) & (stripe < first + stripes))
        if len(rows):
            n = min(many, len(indexes[stripe]))
            place = np.asarray(indexes[stripe].search(origins[rows].astype(np.float32), n).keys)
            column = (stripe - first[rows])[:, None] * many + np.arange(n)
            keys[rows[:, None], column] = place.astype(np.int64).reshape(len(rows), n)
    away = np.square(points[keys] - origins[:, None, :]).sum(axis=2)
    away[(keys < low[:, None]) | (keys >= high[:, None]) | (keys == asked[:, None])] = np.inf
    return exact_knn.select_nearest(away, names[keys], wanted)
