"""Find exact nearest neighbours by integer matrix products.

    |q − m|² − |q|²  =  [−2q, 1] · [m, |m|²]

Coordinates are whole numbers (``STEPS`` to one), so every product and every sum is one too. Single precision holds
those below 2²⁴ exactly, double precision those below 2⁵³. The distances are right to the last bit in whatever order a
processor adds; ties are broken by name. The same neighbours come out for one patient or a million, on any machine.

Candidates are a span of places (members in order of birth, so that an age band is a span). Each row of the product is
cut into groups. The ``wanted`` smallest of the groups' minima belong to that many members, so the ``wanted`` nearest
are no farther than the last of them, and only members that near are sorted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Whole numbers per unit of an embedding.
STEPS = 64
#: At most so many questions, and distances, at a time: what fits the caches of one core.
ROWS, DISTANCES = 256, 1 << 21
#: Distances per group, of which the smallest is taken.
GROUP = 32
#: Fewer blocks than this are not worth threads.
MIN_THREADED_BLOCKS = 4

Points = NDArray[np.floating[Any]]
Places = NDArray[np.int64]
#: The names of the nearest and their distances.
Nearest = tuple[Places, Points]


def to_steps(embedding: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert embeddings to whole steps."""
    return np.rint(embedding * STEPS)


def allocate_points(rows: int, wide: int, largest: float) -> Points:
    """Allocate points of numbers up to ``largest``, precise enough for exact squared distances."""
    exact = wide * (2 * STEPS * largest) ** 2 < 1 << 24
    return np.zeros((rows, wide), np.float32 if exact else np.float64)


def find_nearest(points: Points, names: Places, asked: Places, low: Places, high: Places, wanted: int) -> Places:
    """Find the names of the ``wanted`` nearest others to each of ``asked``, as ``rank_nearest`` does."""
    return rank_nearest(points, names, asked, low, high, wanted)[0]


def rank_nearest(
    points: Points, names: Places, asked: Places, low: Places, high: Places, wanted: int, origins: Points | None = None
) -> Nearest:
    """Rank the ``wanted`` nearest others to each of ``asked`` within its span: names, and how far.

    ``points`` (``to_steps`` in ``allocate_points``) has shape ``[m, d]``, ``names`` ``[m]``; of equally near ones the
    smaller name is the nearer. A span is ``low`` up to ``high``. ``asked``, ``low`` and ``high`` have one element per
    question, best in ascending order. ``origins`` are the questions' points, by default those of ``asked``, which may
    then be -1 for who is not among the points. Returns ``[len(asked), wanted]`` twice, nearest first, -1 and infinite
    where there are no more; a distance is ``|q − m|² − |q|²``, to be compared within a question alone.
    """
    found, far = np.full((len(asked), wanted), -1, dtype=np.int64), np.full((len(asked), wanted), np.inf)
    across = np.column_stack([points, np.einsum("ij,ij->i", points, points)])

    def fill(block: slice) -> None:
        first, last = int(low[block].min()), int(high[block].max())
        own = asked[block]
        origin = points[own] if origins is None else origins[block].astype(points.dtype)
        away = np.column_stack([-2 * origin, np.ones(len(own), points.dtype)]) @ across[first:last].T
        for row, (a, b, c) in enumerate(zip(low[block] - first, high[block] - first, own - first, strict=True)):
            away[row, :a] = away[row, b:] = np.inf
            if 0 <= c < away.shape[1]:
                away[row, c] = np.inf
        found[block], far[block] = select_nearest(away, names[None, first:last], wanted)

    blocks = list(_cut_blocks(low, high))
    if len(blocks) < MIN_THREADED_BLOCKS:
        for block in blocks:
            fill(block)
    else:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(fill, blocks))
    return found, far


def select_nearest(away: Points, names: Places, wanted: int) -> Nearest:
    """Select the names and distances of each row's ``wanted`` smallest finite ones; -1 and infinite for no more.

    ``names`` has the shape of ``away``, or one row for all.
    """
    close = away <= np.minimum(_bound_distance(away, wanted), np.finfo(away.dtype).max)[:, None]
    row, column = np.divmod(np.flatnonzero(close), away.shape[1])
    called = names[0, column] if len(names) == 1 else names[row, column]
    order = np.lexsort((called, away[row, column], row))
    row, called = row[order], called[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    found, far = np.full((len(away), wanted), -1, dtype=np.int64), np.full((len(away), wanted), np.inf)
    selected = rank < wanted
    found[row[selected], rank[selected]] = called[selected]
    far[row[selected], rank[selected]] = away[row[selected], column[order][selected]]
    return found, far


def _bound_distance(away: Points, wanted: int) -> Points:
    """Bound each row: at least ``wanted`` of its distances do not exceed the bound."""
    whole = away.shape[1] // GROUP
    if whole < 2 * wanted:
        if away.shape[1] <= wanted:
            return np.full(len(away), np.inf, away.dtype)
        return np.partition(away, wanted - 1, axis=1)[:, wanted - 1]
    smallest = (
        away[:, : whole * GROUP].reshape(len(away), GROUP, whole).min(axis=1)
    )  # a group is every ``whole``-th distance
    return np.partition(smallest, wanted - 1, axis=1)[:, wanted - 1]


def _cut_blocks(low: Places, high: Places) -> Iterator[slice]:
    """Cut questions into runs whose spans together are few distances."""
    start = 0
    while start < len(low):
        stop = min(start + ROWS, len(low))
        while stop - start > 1:
            across = int(high[start:stop].max() - low[start:stop].min())
            if across * (stop - start) <= DISTANCES:
                break
            stop = start + max(1, min(stop - start - 1, DISTANCES // across))
        yield slice(start, stop)
        start = stop
