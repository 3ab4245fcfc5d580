"""Nearest women in a large cohort by an index; which of them count is decided exactly, as without one.

    candidates(h) = the m nearest of her whole cohort by HNSW;   N(h) = the n nearest of those within her age band

The index is one a cohort (``usearch`` has no filter in Python, and a filtered walk through a graph loses its recall);
age is filtered from m = 12 n candidates, and distances are computed anew from the embeddings. Where fewer than n of
the candidates lie in the band, she is searched exactly. So an answer is always of real members of her band, in exact
order; what an index can do is overlook one. It is built with one thread: the same cohort gives the same graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: From so many members and so many asked at one moment on, building an index costs less than looking at everybody.
LARGE, MANY = 20_000, 500
OVERSAMPLE = 12
CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 16, 64, 512

Slots = NDArray[np.int64]
Floats = NDArray[np.float64]


def worthwhile(members: int, asked: int) -> bool:
    """Whether a cohort of ``members`` of which ``asked`` are looked up at one moment should have an index."""
    return members >= LARGE and asked >= MANY


def candidates(embedding: Floats, members: Slots, asked: Sequence[int], wanted: int) -> dict[int, Slots]:
    """For each slot of ``asked`` the ``OVERSAMPLE * wanted`` nearest ``members`` by the index, herself left out.

    ``embedding`` has a row a slot; members and answers are slots of it.
    """
    from usearch.index import Index

    index = Index(
        ndim=embedding.shape[1],
        metric="l2sq",
        dtype="f32",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION_SEARCH,
    )
    # sixteenths of numbers up to 3 are exact in single precision
    index.add(members, embedding[members].astype(np.float32), threads=1)
    places = np.asarray(asked, dtype=np.int64)
    found = index.search(embedding[places].astype(np.float32), min(OVERSAMPLE * wanted + 1, len(members)), threads=1)
    keys = np.asarray(found.keys).astype(np.int64).reshape(len(places), -1)
    return {int(place): row[row != place] for place, row in zip(places, keys, strict=True)}
