"""Aggregate the outcomes of peers and cohort under k-anonymity: means of at least k, rounded.

    peer_o      = coarsen( mean of outcome o over N_k )                    if at least k of N_k have it, else nothing
    cohort_o    = coarsen( mean of outcome o over the others of the cohort )   if at least k have it, else nothing
    coarsen(v)  = step · round(v / step);   a count of peers is rounded down to a multiple of 5, never below k

1. The paper's "signals from clinically similar patients" are undefined; outcomes, steps and k are ours.
2. Counts are rounded because two exact ones reveal who came between two nights.
3. This is not differential privacy. Run: ``python -m benchmarks.peers_privacy`` for what an attacker gains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

COUNT_STEP = 5


@dataclass(frozen=True, slots=True)
class PeerStatistic:
    """One mean over peers: the feature ``peer_<name>``, rounded to ``step`` of ``unit``."""

    name: str
    label: str
    unit: str
    step: float


#: What is aggregated of peers and of the cohort; each reads one column of ``States.outcomes`` of the same name.
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

#: Peers' ratings of brief and of detailed replies: the prior of ``models.patient.preferences``, never a sentence.
RATINGS: tuple[PeerStatistic, ...] = (
    PeerStatistic("rating_brief", "rate brief replies", "points", 0.25),
    PeerStatistic("rating_detailed", "rate detailed replies", "points", 0.25),
)


def round_count(count: int, k: int) -> int:
    """Round down to a multiple of ``COUNT_STEP``, at least ``k``; 0 below ``k``."""
    return 0 if count < k else max(k, count - count % COUNT_STEP)


def coarsen(value: float, step: float) -> float:
    """Round to an integer number of steps, so that equal values print equally."""
    return round(round(value / step) * step, 10)


def aggregate_outcomes(
    outcomes: Mapping[str, NDArray[np.float64]], peers: NDArray[np.int32], k: int
) -> dict[str, NDArray[Any]]:
    """Count each row's peers and average each outcome that at least ``k`` of them have.

    ``peers`` has shape ``[rows, 2k]``: places in ``outcomes``, -1 for no more.
    """
    there = peers >= 0
    columns: dict[str, NDArray[Any]] = {"peers_count": there.sum(axis=1)}
    for o in (*OUTCOMES, *RATINGS):
        values = np.full(peers.shape, np.nan)
        values[there] = outcomes[o.name][peers[there]]
        columns[f"peer_{o.name}"] = _average(values, k, o.step)
    return columns


def average_cohort(
    outcomes: Mapping[str, NDArray[np.float64]], members: NDArray[np.int64], asked: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """Average each of ``OUTCOMES`` over a cohort's members without the one asked, ``[len(asked), len(OUTCOMES)]``.

    ``members`` and ``asked``, who are among them, are places in ``outcomes``. NaN where fewer than ``k`` others have
    it.
    """
    averages = np.full((len(asked), len(OUTCOMES)), np.nan)
    for column, o in enumerate(OUTCOMES):
        values, own = outcomes[o.name][members], outcomes[o.name][asked]
        known = values[~np.isnan(values)]
        others = len(known) - ~np.isnan(own)
        enough = others >= k
        means = (known.sum() - np.nan_to_num(own[enough])) / others[enough]
        averages[enough, column] = [coarsen(float(mean), o.step) for mean in means]
    return averages


def _average(values: NDArray[np.float64], k: int, step: float) -> NDArray[np.float64]:
    """The mean of each row's numbers, coarsened; NaN where fewer than ``k`` are known."""
    # sorted, and added up in rows of one length: a sum of floats must not depend on the order of the same peers
    values = np.sort(values, axis=1)
    known = np.count_nonzero(~np.isnan(values), axis=1)
    averages = np.full(len(values), np.nan)
    for length in np.unique(known[known >= k]):
        rows = known == length
        means, back = np.unique(np.ascontiguousarray(values[rows, :length]).sum(axis=1) / length, return_inverse=True)
        averages[rows] = np.array([coarsen(float(mean), step) for mean in means])[back]
    return averages
