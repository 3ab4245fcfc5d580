"""How many women an aggregate is said to be of: coarsely, since an exact count tells who came between two nights."""

from __future__ import annotations

STEP = 5


def round_count(count: int, k: int) -> int:
    """``count`` rounded down to a multiple of ``STEP``, but never below ``k``; 0 where fewer than ``k`` are alike."""
    return 0 if count < k else max(k, count - count % STEP)
