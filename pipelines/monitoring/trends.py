"""Trends: does a column's nightly level rise or fall slowly?

Kendall's τ of the nightly levels against their order, over the last ``NIGHTS`` nights with enough values: distribution
free, and exact for nights that are exchangeable. A shift against the window is the other tests' business.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import scipy.stats

from pipelines.monitoring.column_tests import KENDALL, ColumnComparison

NIGHTS = 14
FEWEST_NIGHTS = 10
FEWEST_VALUES = 20  # values that a night's level needs


def compute_trend(column: str, levels: pl.DataFrame) -> ColumnComparison | None:
    """Test one column's levels (``night``, ``n``, ``mean``), tonight included; None with too few nights."""
    used = levels.filter(pl.col("n") >= FEWEST_VALUES).sort("night").tail(NIGHTS)
    if len(used) < FEWEST_NIGHTS or used["mean"].n_unique() == 1:
        return None
    p = float(scipy.stats.kendalltau(np.arange(len(used)), used["mean"].to_numpy()).pvalue)
    now = int(used["n"][-1])
    return ColumnComparison(f"trend of {column}", KENDALL, now, int(used["n"].sum()) - now, p, 0.0, False)
