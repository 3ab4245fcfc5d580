"""Confidence intervals: patient-clustered bootstrap of means and ratios, Wilson's of a share, α-spending.

    mean    percentile interval over ``draws`` seeded draws of patients with replacement, each with all their episodes
    share   (p̂ + z²/2n ± z √(p̂(1−p̂)/n + z²/4n²)) / (1 + z²/n),   z = 1.96
    ratio   Σ parts / Σ wholes, patients drawn as for the mean
    looks   α_i = α / (i (i + 1)) at the i-th look at the same gate, which sums to α over any number of looks
            (α spending: Lan and DeMets, Biometrika 1983; by Bonferroni's bound looks may depend on each other)
    no worse, no better    share of the sign flips of patients' sums that are as low as theirs (randomization test:
            Fisher 1935), exact up to 2^13 flips; Holm's step-down procedure over several (Scand. J. Stat. 1979)

One patient's questions resemble each other, so patients are resampled and not episodes (``scipy.stats.bootstrap`` does
not resample clusters). With fewer than two patients there is no interval, and its bounds are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import permutation_test

FLIPS = 9999  # sign flips drawn where there are more patients than make so many

FEWEST_IN_TAIL = 10  # draws beyond each bound, so that a narrow tail is not read off one draw
Z = 1.96  # published shares were computed with this rounded value, so scipy's proportion_ci would change them


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its patient-clustered interval, over ``n`` episodes of ``patients`` patients."""

    value: float
    ci_low: float
    ci_high: float
    n: int
    patients: int


def bootstrap_mean(
    values: Sequence[float],
    subjects: Sequence[int],
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Mean of ``values`` [n] with a bootstrap interval over ``subjects`` [n].

    ``draws`` is raised where a tail of this ``confidence`` would have fewer than ``FEWEST_IN_TAIL`` of them.
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


def bootstrap_difference(
    ours: Sequence[float], theirs: Sequence[float], subjects: Sequence[int], **options: float
) -> Estimate:
    """``bootstrap_mean`` of ``ours − theirs``, paired by episode."""
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    return bootstrap_mean(difference.tolist(), subjects, **options)  # type: ignore[arg-type]


def bootstrap_ratio(
    parts: Sequence[float], wholes: Sequence[float], subjects: Sequence[int], *, draws: int = 2000, seed: int = 0
) -> Estimate:
    """Sum of ``parts`` over sum of ``wholes``, with a 95 % interval over ``subjects``.

    NaN where the sum of ``wholes`` is 0.
    """
    above, below = np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)
    if not len(above) or below.sum() == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0, 0)
    patients, place = np.unique(np.asarray(subjects), return_inverse=True)
    sums = np.array([np.bincount(place, weights=x) for x in (above, below)])
    ratio = float(above.sum() / below.sum())
    if len(patients) < 2:
        return Estimate(ratio, float("nan"), float("nan"), len(above), len(patients))
    chances = np.full(len(patients), 1 / len(patients))
    weights = np.random.default_rng(seed).multinomial(len(patients), chances, size=draws)
    drawn = weights @ sums.T
    ratios = drawn[drawn[:, 1] != 0]
    low, high = np.quantile(ratios[:, 0] / ratios[:, 1], [0.025, 0.975])
    return Estimate(ratio, float(low), float(high), len(above), len(patients))


def spend_alpha(confidence: float, look: int) -> float:
    """The confidence of the ``look``-th look (1, 2, …) at the same gate.

    A champion is replaced by a challenger that is no better with probability at most α, however often it is challenged.
    """
    return 1 - (1 - confidence) / (look * (look + 1))


def flip_signs(values: Sequence[float], subjects: Sequence[int], *, seed: int = 0) -> float:
    """The chance of a mean of ``values`` [n] as low as theirs if each patient's sum may as well have the other sign."""
    _, place = np.unique(np.asarray(subjects), return_inverse=True)
    sums = np.bincount(place, weights=np.asarray(values, dtype=np.float64))
    if len(sums) < 2:
        return 1.0
    tested = permutation_test(
        (sums,), np.sum, permutation_type="samples", vectorized=True, alternative="less",
        n_resamples=FLIPS, rng=np.random.default_rng(seed),
    )  # fmt: skip
    return float(tested.pvalue)


def reject_by_holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which hypotheses Holm's procedure rejects, with a chance of at most ``alpha`` that any is wrong."""
    rejected = [False] * len(p_values)
    for i, place in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[place] > alpha / (len(p_values) - i):
            break
        rejected[place] = True
    return rejected


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share ``hits / n``; n > 0."""
    share, square = hits / n, Z * Z
    middle = share + square / (2 * n)
    half = Z * (share * (1 - share) / n + square / (4 * n * n)) ** 0.5
    return max(0.0, (middle - half) / (1 + square / n)), min(1.0, (middle + half) / (1 + square / n))
