"""Find a new level among a signal's newest values.

    score = max over j ≤ RECENT_VALUES of  √( w d² / s² ),   w = (n − j) j / n
    d     = mean of the j newest − mean of the rest
    s²    = (PRIOR_VALUES · step² + squared deviations within both parts) / (PRIOR_VALUES + n − 2)

with the sign of d; n values of the two years up to the newest one, ``step`` the smallest change of the signal worth a
word (models/vocabulary.py).

1. The generalised likelihood ratio of one change in the mean of normal values, asked at each new value: an online form
   of PELT's criterion. The noise is the patient's own, with ``step`` as the prior while there are few values.
2. Only a level that began within the ``RECENT_VALUES`` newest values is news. A single value may begin one, so an
   alarm need not wait for a second.
3. ``feature_repo/signals.py`` computes the same in SQL every night; tests compare the two.

Run: ``pmlm evaluate`` (row 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, sqrt

SCALE = 1000  # values are counted in thousandths of the unit: finer than any of the signals is measured
BAND_DAYS = 730
RECENT_VALUES = 5
PRIOR_VALUES = 16


@dataclass(frozen=True, slots=True)
class Shift:
    """A new level: its signed score, its size in the signal's unit, the number of values on it."""

    score: float
    size: float
    values: int


def find_shift(values: Sequence[float], step: float) -> Shift | None:
    """Find the likeliest new level of values in order of time; None under two values."""
    scaled = [round(v * SCALE) for v in values]
    n, total, squares = len(scaled), sum(scaled), sum(v * v for v in scaled)
    best: Shift | None = None
    for j in range(1, min(RECENT_VALUES, n - 1) + 1):
        between = n * sum(scaled[-j:]) - j * total
        gain = between * between / (n * j * (n - j))
        within = max((n * squares - total * total) / n - gain, 0.0)
        noise = (within + PRIOR_VALUES * round(step * SCALE) ** 2) / (n + PRIOR_VALUES - 2)
        score = sqrt(gain / noise)
        if best is None or score > abs(best.score):
            best = Shift(copysign(score, between), between / (j * (n - j)) / SCALE, j)
    return best
