"""Two-sample test per column, current night against reference window, with Holm's correction.

=============  ==============================  ====================================================
smaller side   numbers                         categories
=============  ==============================  ====================================================
below 1,000    Kolmogorov–Smirnov, p           homogeneity by random tables, p
1,000 or more  Wasserstein over reference sd   Jensen–Shannon distance
=============  ==============================  ====================================================

Few values: a p-value, because a distance between two small samples is mostly noise. Many values: a distance,
because then every difference is significant and only its size matters. Holm's correction over a family's p-values
bounds the chance of any false alarm per family and night by ``alpha``; a distance drifts above ``DISTANCE``, far
outside what noise does to 1,000 values.

Two categories, such as a feature's being there or not, are compared exactly (Fisher). Evidently's chi-square takes the
reference for the true distribution, which raises false alarms when the window is short; ours treats both sides as
samples (random tables with the same margins) and is valid for rare categories. It is registered with Evidently, so that
page and verdict come from one computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.stats
from evidently.legacy.calculations.stattests import StatTest, register_stattest
from evidently.legacy.calculations.stattests.registry import get_stattest
from evidently.legacy.core import ColumnType

LARGE = 1_000
DISTANCE = 0.1
RESAMPLES = (999, 9_000, 90_000)  # random tables: more of them only while fewer than REACHED reach the observed one
REACHED = 10
HOMOGENEITY = "homogeneity"
KENDALL = "kendall"
P_VALUES = frozenset({"ks", HOMOGENEITY, KENDALL})


@dataclass(frozen=True, slots=True)
class ColumnComparison:
    """The test result of one column; ``score`` is a p-value or a distance, by ``method``."""

    column: str
    method: str
    n_current: int
    n_reference: int
    score: float
    threshold: float
    drifted: bool


def compute_homogeneity_p(current: pd.Series, reference: pd.Series) -> float:
    """Compute the p-value that two samples of categories come from one distribution.

    Pearson's statistic of the 2 × categories table against random tables with the same margins; Fisher's exact test of
    a 2 × 2 table. More tables are drawn while few reach the observed one, so that a clear p-value is cheap and a small
    one is fine enough for a family of many columns; stopping early never makes it smaller. The seed is fixed and only
    counts enter, so the order of rows does not matter.
    """
    counts = pd.concat([current.value_counts(), reference.value_counts()], axis=1).fillna(0).sort_index()
    table = counts.to_numpy(dtype=np.int64).T
    if table.shape[1] < 2:
        return 1.0
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    expected = np.outer(rows, columns) / table.sum()
    if table.shape[1] == 2:
        return float(scipy.stats.fisher_exact(table).pvalue)
    observed = ((table - expected) ** 2 / expected).sum()
    tables, source = scipy.stats.random_table(rows, columns), np.random.default_rng(0)
    reached = drawn = 0
    for more in RESAMPLES:
        random = tables.rvs(more, random_state=source)
        resampled = ((random - expected) ** 2 / expected).sum(axis=(1, 2))
        reached, drawn = reached + int(np.count_nonzero(resampled >= observed - 1e-9)), drawn + more
        if reached >= REACHED:
            break
    return float((1 + reached) / (1 + drawn))


def _run_homogeneity(
    reference: pd.Series, current: pd.Series, kind: ColumnType, threshold: float
) -> tuple[float, bool]:
    p = compute_homogeneity_p(current, reference)
    return p, p <= threshold


register_stattest(
    StatTest(name=HOMOGENEITY, display_name="homogeneity p_value", allowed_feature_types=[ColumnType.Categorical]),
    default_impl=_run_homogeneity,
)


def choose_test(numeric: bool, n_current: int, n_reference: int) -> str:
    """Choose the statistic (by Evidently's name) for a column's type and sample sizes."""
    if min(n_current, n_reference) < LARGE:
        return "ks" if numeric else HOMOGENEITY
    return "wasserstein" if numeric else "jensenshannon"


def compare_column(column: str, current: pd.Series, reference: pd.Series) -> ColumnComparison:
    """Score one column without nulls; a p-value's threshold is set later, by :func:`apply_holm`."""
    numeric = pd.api.types.is_numeric_dtype(current)
    method = choose_test(numeric, len(current), len(reference))
    kind = ColumnType.Numerical if numeric else ColumnType.Categorical
    result = get_stattest(reference, current, kind, method)(reference, current, kind, DISTANCE)
    score = float(result.drift_score)
    return ColumnComparison(column, method, len(current), len(reference), score, DISTANCE, score > DISTANCE)


def apply_holm(comparisons: Sequence[ColumnComparison], alpha: float) -> tuple[ColumnComparison, ...]:
    """Set each p-value's threshold by Holm's step-down procedure; distances keep theirs.

    The i-th smallest of m p-values (from 0) is compared with ``alpha / (m − i)``; after the first that fails, all the
    rest fail at its threshold. The order of the comparisons is unchanged.
    """
    tested = sorted((c for c in comparisons if c.method in P_VALUES), key=lambda c: (c.score, c.column))
    decided: dict[str, ColumnComparison] = {}
    failed_at: float | None = None
    for i, comparison in enumerate(tested):
        threshold = alpha / (len(tested) - i) if failed_at is None else failed_at
        drifted = failed_at is None and comparison.score <= threshold
        failed_at = failed_at if drifted or failed_at is not None else threshold
        decided[comparison.column] = replace(comparison, threshold=threshold, drifted=drifted)
    return tuple(decided.get(c.column, c) for c in comparisons)
