"""Trends: does a column's nightly level rise or fall slowly?

Kendall's τ of the nightly levels against their order, over the last ``NIGHTS`` nights with enough values: distribution
free, and exact for nights that are exchangeable. Patients who come several nights in a row make levels wander, so the
rise over these nights (Theil and Sen's slope) must also be large beside the spread of the column's values. A shift
against the window is the other tests' business.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import scipy.stats

from pipelines.monitoring.column_tests import KENDALL, ColumnComparison

NIGHTS = 14
FEWEST_NIGHTS = 10
FEWEST_VALUES = 20  # values that a night's level needs


def compute_trend(column: str, levels: pl.DataFrame, spread: float) -> ColumnComparison | None:
    """Test one column's levels (``night``, ``n``, ``mean``), tonight included; None with too few nights.

    ``spread`` is the standard deviation of the column's values.
    """
    used = levels.filter(pl.col("n") >= FEWEST_VALUES).sort("night").tail(NIGHTS)
    if len(used) < FEWEST_NIGHTS or used["mean"].n_unique() == 1:
        return None
    places, means = np.arange(len(used)), used["mean"].to_numpy()
    p = float(scipy.stats.kendalltau(places, means).pvalue)
    rise = abs(float(scipy.stats.theilslopes(means, places).slope)) * (len(used) - 1)
    distance = rise / spread if spread > 0 else 0.0
    now = int(used["n"][-1])
    before = int(used["n"].sum()) - now
    return ColumnComparison(f"trend of {column}", KENDALL, now, before, p, 0.0, False, distance)
