"""Intervals that respect that one patient's questions are alike: the patient-clustered bootstrap.

Patients are drawn with replacement, each with all of her episodes; the statistic is the mean over episodes. For a
difference between two refiners the values are paired differences on the same episodes. The percentile interval of
``draws`` seeded draws; with fewer than two patients there is no interval, and its bounds are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_IN_TAIL = 10  # draws beyond each bound, so that a narrow tail is not read off one draw


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its patient-clustered interval; ``n`` episodes of ``patients`` patients."""

    value: float
    ci_low: float
    ci_high: float
    n: int
    patients: int


def clustered_mean(
    values: Sequence[float],
    subjects: Sequence[int],
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Mean of ``values`` [n] with the bootstrap over ``subjects`` [n]; order of episodes does not matter.

    ``draws`` is raised where the tail asked for would hold fewer than ``FEWEST_IN_TAIL`` of them.
    """
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return Estimate(float("nan"), float("nan"), float("nan"), 0, 0)
    patients, place = np.unique(np.asarray(subjects), return_inverse=True)
    sums = np.bincount(place, weights=array)
    counts = np.bincount(place).astype(np.float64)
    mean = float(sums.sum() / counts.sum())
    if len(patients) < 2:
        return Estimate(mean, float("nan"), float("nan"), len(array), len(patients))
    tail = (1 - confidence) / 2
    draws = max(draws, int(np.ceil(FEWEST_IN_TAIL / tail)))
    chances = np.full(len(patients), 1 / len(patients))
    weights = np.random.default_rng(seed).multinomial(len(patients), chances, size=draws)
    means = (weights @ sums) / (weights @ counts)
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(mean, float(low), float(high), len(array), len(patients))


def paired_difference(
    ours: Sequence[float], theirs: Sequence[float], subjects: Sequence[int], **options: float
) -> Estimate:
    """``clustered_mean`` of ``ours − theirs`` on the same episodes; options as there."""
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    return clustered_mean(difference.tolist(), subjects, **options)  # type: ignore[arg-type]


def spent(confidence: float, look: int) -> float:
    """The confidence of the ``look``-th look at the same gate (1, 2, …).

    α is spent over the looks as α / (look · (look + 1)), which sums to α over any number of nights: a champion is
    replaced by a challenger that is no better with probability at most α, however often it is challenged.
    """
    return 1 - (1 - confidence) / (look * (look + 1))
