"""Two-sample test per column, current night against reference window: significant, and large enough to matter.

==========  ==============================  ============================================
values      significance (p)                size (distance, more than ``DISTANCE``)
==========  ==============================  ============================================
numbers     Kolmogorov–Smirnov              Wasserstein over the reference's sd
categories  homogeneity by random tables    Jensen–Shannon
==========  ==============================  ============================================

A column drifts only by both. With few values a distance is mostly noise, and with many every difference is significant.
Holm's correction over a family's p-values bounds the chance of any false alarm per family and night by ``alpha``.

The values of one patient are not independent: a drop of several days has several of theirs. A p-value therefore counts
patients, not values, as if all values of a patient in one night were the same one (:func:`compute_design_effect`).

Two categories, such as a feature's being there or not, are compared exactly (Fisher). Evidently's chi-square takes the
reference for the true distribution, which raises false alarms when the window is short; ours treats both sides as
samples (random tables with the same margins) and is valid for rare categories. The statistics of numbers are
Evidently's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import polars as pl
import scipy.spatial
import scipy.stats
from evidently.legacy.calculations.stattests.registry import get_stattest
from evidently.legacy.core import ColumnType

DISTANCE = 0.1
RISE = 0.5  # of a trend over its nights, in standard deviations of the column's values
RANDOM_TABLES = (999, *[9_000] * 11)  # more of them only while fewer than REACHED reach the observed one
REACHED = 10
KS, HOMOGENEITY, KENDALL = "ks", "homogeneity", "kendall"
SMALLEST_DISTANCE = {KS: DISTANCE, HOMOGENEITY: DISTANCE, KENDALL: RISE}

#: No category and no tail of a histogram stands for fewer sampling units than this.
SMALLEST_GROUP = 10
OTHER = "other"


@dataclass(frozen=True, slots=True)
class ColumnPair:
    """One column's values on both sides, nulls dropped and rare values grouped; and how many patients they are of."""

    column: str
    current: pd.Series
    reference: pd.Series
    patients: tuple[int, int]


@dataclass(frozen=True, slots=True)
class ColumnComparison:
    """The test result of one column: a p-value (``score``) with its threshold, and how large the difference is."""

    column: str
    method: str
    n_current: int
    n_reference: int
    score: float
    threshold: float
    drifted: bool
    distance: float


def group_rare_values(column: str, current: pl.Series, reference: pl.Series, patients: tuple[int, int]) -> ColumnPair:
    """Drop nulls and hide small groups, counted over both sides to keep the comparison fair.

    Categories rarer than ``SMALLEST_GROUP`` become ``other``; numbers are clipped to the smallest and greatest value
    that as many sampling units reach.
    """
    now, before = current.drop_nulls().to_numpy(), reference.drop_nulls().to_numpy()
    pooled = np.concatenate([now, before])
    if np.issubdtype(pooled.dtype, np.number):
        rank = min(SMALLEST_GROUP, len(pooled)) - 1
        ordered = np.sort(pooled)
        low, high = sorted((ordered[rank], ordered[-1 - rank]))
        return ColumnPair(column, pd.Series(now.clip(low, high)), pd.Series(before.clip(low, high)), patients)
    counts = Counter(pooled.tolist())
    shown = {value: value if count >= SMALLEST_GROUP else OTHER for value, count in counts.items()}
    sides = [pd.Series([shown[value] for value in side.tolist()], dtype=object) for side in (now, before)]
    return ColumnPair(column, sides[0], sides[1], patients)


def compute_design_effect(pair: ColumnPair) -> float:
    """Compute by how much a difference varies more than between as many independent values; at least 1."""
    values = 1 / len(pair.current) + 1 / len(pair.reference)
    return max(1.0, sum(1 / max(1, patients) for patients in pair.patients) / values)


def compute_ks_p(current: pd.Series, reference: pd.Series, design_effect: float = 1.0) -> float:
    """Compute the p-value that two samples of numbers come from one distribution."""
    if design_effect == 1.0:
        return float(
            get_stattest(reference, current, "num", KS)(reference, current, ColumnType.Numerical, None).drift_score
        )
    largest = scipy.stats.ks_2samp(current, reference, method="asymp").statistic
    values = len(current) * len(reference) / (len(current) + len(reference))
    return float(scipy.stats.kstwo.sf(largest, max(1, round(values / design_effect))))


def compute_homogeneity_p(
    current: pd.Series, reference: pd.Series, design_effect: float = 1.0, tables: Sequence[int] = RANDOM_TABLES
) -> float:
    """Compute the p-value that two samples of categories come from one distribution.

    Pearson's statistic of the 2 × categories table against random tables with the same margins; Fisher's exact test of
    a 2 × 2 table. More tables are drawn while few reach the observed one, so that a clear p-value is cheap and a small
    one is fine enough for a family of many columns; stopping early never makes it smaller. The seed is fixed and only
    counts enter, so the order of rows does not matter.
    """
    table = _count_categories(current, reference)
    if table.shape[1] < 2:
        return 1.0
    if table.shape[1] == 2:  # as many as are independent, since random tables give no p-value below theirs
        return float(scipy.stats.fisher_exact(np.rint(table / design_effect).astype(np.int64)).pvalue)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    expected = np.outer(rows, columns) / table.sum()
    observed = ((table - expected) ** 2 / expected).sum() / design_effect
    lottery, source = scipy.stats.random_table(rows, columns), np.random.default_rng(0)
    reached = drawn = 0
    for more in tables:
        random = lottery.rvs(more, random_state=source)
        resampled = ((random - expected) ** 2 / expected).sum(axis=(1, 2))
        reached, drawn = reached + int(np.count_nonzero(resampled >= observed - 1e-9)), drawn + more
        if reached >= REACHED:
            break
    return float((1 + reached) / (1 + drawn))


def compute_category_distance(current: pd.Series, reference: pd.Series) -> float:
    """Compute the Jensen–Shannon distance of two samples of categories."""
    return float(scipy.spatial.distance.jensenshannon(*_count_categories(current, reference)))


def _count_categories(current: pd.Series, reference: pd.Series) -> np.ndarray:
    """Count each category, in sorted order: a row tonight, a row in the window."""
    sides = [Counter(side.tolist()) for side in (current, reference)]
    names = sorted({*sides[0], *sides[1]})
    return np.array([[side[name] for name in names] for side in sides], dtype=np.int64)


def compare_column(pair: ColumnPair) -> ColumnComparison:
    """Compare one column without nulls; threshold and decision are set later, by :func:`apply_holm`."""
    current, reference, effect = pair.current, pair.reference, compute_design_effect(pair)
    if pd.api.types.is_numeric_dtype(current):
        kind, size = ColumnType.Numerical, "wasserstein"
        distance = float(get_stattest(reference, current, kind, size)(reference, current, kind, DISTANCE).drift_score)
        method, p = KS, compute_ks_p(current, reference, effect)
    else:  # a small difference is none, however fine its p-value
        distance = compute_category_distance(current, reference)
        tables = RANDOM_TABLES if distance > DISTANCE else RANDOM_TABLES[:1]
        method, p = HOMOGENEITY, compute_homogeneity_p(current, reference, effect, tables)
    return ColumnComparison(pair.column, method, len(current), len(reference), p, 0.0, False, distance)


def apply_holm(comparisons: Sequence[ColumnComparison], alpha: float) -> tuple[ColumnComparison, ...]:
    """Set each p-value's threshold by Holm's step-down procedure, and decide.

    The i-th smallest of m p-values (from 0) is compared with ``alpha / (m − i)``; after the first that fails, all the
    rest fail at its threshold. Of those that pass, what is large enough drifted. The order is unchanged.
    """
    tested = sorted(comparisons, key=lambda c: (c.score, c.column))
    decided: dict[str, ColumnComparison] = {}
    failed_at: float | None = None
    for i, comparison in enumerate(tested):
        threshold = alpha / (len(tested) - i) if failed_at is None else failed_at
        passed = failed_at is None and comparison.score <= threshold
        failed_at = failed_at if passed or failed_at is not None else threshold
        drifted = passed and comparison.distance > SMALLEST_DISTANCE[comparison.method]
        decided[comparison.column] = replace(comparison, threshold=threshold, drifted=drifted)
    return tuple(decided[c.column] for c in comparisons)
