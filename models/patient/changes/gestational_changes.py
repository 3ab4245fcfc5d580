"""Say which change of a signal is normal between two times of a pregnancy.

``gestational_changes.csv`` has per signal and week the least and the greatest normal change since before the
pregnancy, each row with its published source; between rows it is interpolated. The paper has no counterpart: a band of
the patient's own past alone would call every pregnancy's weight gain unusual.

    allowed(w₁ → w₂) = [min(0, Δlow, Δhigh), max(0, Δlow, Δhigh)],   Δx = x(w₂) − x(w₁)

After a birth a signal may go back by what it may have changed until then. Twins are not provided for: their greater
gain counts as a change.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cache
from importlib.resources import files

import numpy as np

#: Without a pregnancy, and before one, nothing has changed.
_NOTHING = (0.0, 0.0)
TERM_WEEK = 40


def find_allowed_change(signal: str, before: float | None, after: float | None) -> tuple[float, float]:
    """Least and greatest normal change between two gestational ages in weeks; None outside a pregnancy."""
    if signal not in _read_curves() or (before is None and after is None):
        return _NOTHING
    least, greatest = _read_curve(signal, before)
    changes: tuple[float, ...]
    if after is None:  # back to where she was before, wherever until the birth she was
        least_at_term, greatest_at_term = _read_curve(signal, TERM_WEEK)
        changes = (0.0, -least, -greatest, -least_at_term, -greatest_at_term)
    else:
        least_after, greatest_after = _read_curve(signal, after)
        changes = (0.0, least_after - least, greatest_after - greatest)
    return min(changes), max(changes)


def take_off_normal(signal: str, size: float, before: float | None, after: float | None) -> float:
    """What of a change of ``size`` is beyond the normal one: 0 within it."""
    least, greatest = find_allowed_change(signal, before, after)
    return size - float(np.clip(size, least, greatest))


def _read_curve(signal: str, week: float | None) -> tuple[float, float]:
    """Least and greatest change by a gestational age."""
    if week is None:
        return _NOTHING
    weeks, low, high = _read_curves()[signal]
    return float(np.interp(week, weeks, low)), float(np.interp(week, weeks, high))


@cache
def _read_curves() -> dict[str, tuple[list[float], list[float], list[float]]]:
    """Weeks, least and greatest change of each signal."""
    out: dict[str, tuple[list[float], list[float], list[float]]] = defaultdict(lambda: ([], [], []))
    with (files("models.patient.changes") / "gestational_changes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for column, name in zip(out[row["signal"]], ("week", "low", "high"), strict=True):
                column.append(float(row[name]))
    return dict(out)
