"""Trends: does a column's nightly level rise or fall slowly?

Kendall's τ of the nightly levels against their order, over the window and tonight. Patients who come several nights in
a row make one night's level resemble the last one's, and levels wander: τ's variance is multiplied by what the
residuals' autocorrelation makes of it (Hamed and Rao, for a first-order process). The rise over these nights, by Theil
and Sen's slope, must also be large beside the spread of the column's values. A shift against the window is the other
tests' business.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import scipy.stats

from pipelines.monitoring.column_tests import KENDALL, ColumnComparison

NIGHTS = 31
FEWEST_NIGHTS = 10
FEWEST_VALUES = 20  # values that a night's level needs
MOST_AUTOCORRELATION = 0.95


def compute_trend(column: str, levels: pl.DataFrame, spread: float) -> ColumnComparison | None:
    """Test one column's levels (``night``, ``n``, ``mean``), tonight included; None with too few nights.

    ``spread`` is the standard deviation of the column's values.
    """
    used = levels.filter(pl.col("n") >= FEWEST_VALUES).sort("night").tail(NIGHTS)
    if len(used) < FEWEST_NIGHTS or used["mean"].n_unique() == 1:
        return None
    places, means = np.arange(len(used)), used["mean"].to_numpy()
    slope = float(scipy.stats.theilslopes(means, places).slope)
    p = _compute_p(means, means - slope * places)
    distance = abs(slope) * (len(used) - 1) / spread if spread > 0 else 0.0
    now = int(used["n"][-1])
    before = int(used["n"].sum()) - now
    return ColumnComparison(f"trend of {column}", KENDALL, now, before, p, 0.0, False, distance)


def _compute_p(means: np.ndarray, without_trend: np.ndarray) -> float:
    n = len(means)
    tau = float(scipy.stats.kendalltau(np.arange(n), means).statistic)
    again = _estimate_autocorrelation(without_trend)
    variance = 2 * (2 * n + 5) / (9 * n * (n - 1)) * (1 + again) / (1 - again)
    return float(2 * scipy.stats.norm.sf(abs(tau) / math.sqrt(variance)))


def _estimate_autocorrelation(levels: np.ndarray) -> float:
    """Estimate a level's correlation with the next one, at least 0; a short series' estimate is biased downwards."""
    residuals, n = levels - levels.mean(), len(levels)
    square = float(residuals @ residuals)
    if square < 1e-18:
        return 0.0
    found = float(residuals[:-1] @ residuals[1:]) / square
    return float(np.clip((found + 1 / n) / (1 - 4 / n), 0.0, MOST_AUTOCORRELATION))
