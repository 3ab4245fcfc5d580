"""Measure peer search (rows ``peers_*``) for a thousand patients, by index and exactly.

The baseline of ``peers_search`` is the index library's exact search (``usearch``'s ``exact=True``: each patient against
the whole cohort). ``all_at_once_ms`` is what the system does where no index pays: all patients together, within their
age bands (``models.peers.exact_knn``).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from benchmarks.features.clinic import copy_patients, create_clinic, take_in
from benchmarks.peers_privacy import _select_last, recombine
from benchmarks.serving.figures import row
from models.peers import ann_index, exact_knn, search
from models.peers.exact_knn import Places, Points
from models.peers.patient_embedding import States
from pipelines.features.build import stage
from pipelines.features.engines import peer_rows

if TYPE_CHECKING:
    from usearch.index import Index

NIGHT = "20260601"
ASKED, BY_LIBRARY, WANTED, K = 1000, 50, 20, 10
NEW = 0.01

Row = dict[str, Any]


def measure_peers(events: pl.DataFrame, donors: int) -> Iterator[Row]:
    """Measure the index's recall and speed, and the cost of adding 1 % of new patients."""
    states = build_cohort(events, donors)
    current = search.CurrentStates(states)
    current.advance(int(states.at.max()))
    members = current._by_birth
    birth = states.birth[current.row[members]]
    points = current.embed(members)
    asked = np.sort(np.random.default_rng(0).choice(donors, ASKED, replace=False))
    low, high = search._find_age_bands(birth, asked, K)
    with threadpool_limits(1, "blas"):
        together, exact = _time(lambda: exact_knn.find_nearest(points, members, asked, low, high, WANTED))
    from usearch.index import search as by_library

    library, _ = _time(lambda: by_library(points, points[asked[:BY_LIBRARY]], WANTED, "l2sq", exact=True))
    starts = ann_index.find_stripe_edges(birth)
    build, indexes = _time(lambda: ann_index.build_indexes(points, starts))
    indexed, found = _time(
        lambda: ann_index.rank_candidates(indexes, starts, points, members, asked, low, high, WANTED, points[asked])[0]
    )
    served = exact[:, 9] >= 0
    recall = _compute_recall(
        points, asked[served], np.argsort(members)[exact[served]], np.argsort(members)[found[served]]
    )
    figures = {"donors": donors, "build_s": round(build, 1)}
    yield row(
        "peers_recall_at_10", recall, "share", int(served.sum()), target=">= 0.95", holds=recall >= 0.95, **figures
    )
    each, slow = 1e3 * indexed / ASKED, 1e3 * library / BY_LIBRARY
    yield row(
        "peers_search", each, "ms", ASKED, baseline=slow, target="1/50", holds=slow >= 50 * each,
        all_at_once_ms=round(1e3 * together / ASKED, 3), **figures,
    )  # fmt: skip
    share = 100 * _time(lambda: _add_patients(indexes, points, starts))[0] / build
    yield row(
        "peers_index_update", share, "% of a build", int(NEW * donors), target="<= 2 %", holds=share <= 2, **figures
    )


def build_cohort(events: pl.DataFrame, donors: int) -> States:
    """Build states of so many patients, none pregnant, by recombining some hundred real ones."""
    with tempfile.TemporaryDirectory() as folder:
        settings = create_clinic(Path(folder), "peers")
        take_in(settings, NIGHT, copy_patients(events, 400))
        stage.run(settings, NIGHT)
        some = _select_last(peer_rows._read_states(settings.features, settings.now()))
    made = recombine(some, int(some.at.max()), donors, np.random.default_rng(0))
    nobody = np.full(donors, np.nan)
    return States(made.subject, made.at, made.embedding, made.birth, *([nobody] * 5), outcomes=made.outcomes)


def _compute_recall(points: Points, asked: Places, exact: Places, found: Places) -> float:
    """Compute recall at 10; like ``ann-benchmarks``, ties with the tenth nearest count."""

    def measure(places: Places) -> Points:
        return np.square(points[places] - points[asked][:, None]).sum(axis=2)

    return float(np.mean(measure(found)[:, :10] <= measure(exact)[:, 9:10]))


def _add_patients(indexes: list[Index], points: Points, starts: Places) -> None:
    """Add 1 % of patients similar to the others to their birth stripes' indexes, in parallel."""
    new = np.sort(np.random.default_rng(1).choice(len(points), int(NEW * len(points)), replace=False))
    stripe = np.searchsorted(starts, new, side="right") - 1

    def add(number: int) -> None:
        own = new[stripe == number]
        indexes[number].add(len(points) + own, points[own].astype(np.float32), threads=1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(add, np.unique(stripe).tolist()))


def _time(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    found = call()
    return time.perf_counter() - started, found
