"""One verdict a family: ``drift``, ``stable``, or ``no verdict`` and why.

``drift`` as soon as one column drifted (its false alarms are bounded over the family, see ``statistics``); ``stable``
only if the family's main table had enough witnesses on both sides; otherwise ``no verdict``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import polars as pl

from pipelines.monitoring.column_tests import Comparison, compare, holm

Outcome = Literal["drift", "stable", "no verdict"]

#: No category and no tail of a histogram stands for fewer witnesses than this.
SMALLEST_GROUP = 10
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Pair:
    """One column's values on both sides, nulls dropped, rare values grouped: what is compared and shown."""

    column: str
    current: pd.Series
    reference: pd.Series


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one family tonight.

    ``n_current`` and ``n_reference`` count the main table's witnesses (``unit``). ``share`` is drifted columns over
    compared ones, None if none was compared. ``uncompared`` are columns with too few values on one side.
    """

    family: str
    verdict: Outcome
    unit: str
    n_current: int
    n_reference: int
    nights: int
    why: str
    drifted: tuple[str, ...] = ()
    share: float | None = None
    compared: tuple[Comparison, ...] = ()
    uncompared: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        return asdict(self)


def grouped(column: str, current: pl.Series, reference: pl.Series) -> Pair:
    """Drop nulls and hide small groups, by both sides pooled so that the comparison stays fair.

    Categories rarer than ``SMALLEST_GROUP`` become ``other``; numbers are clipped to the smallest and greatest value
    that as many witnesses reach.
    """
    now, then = current.drop_nulls().to_pandas(), reference.drop_nulls().to_pandas()
    pooled = pd.concat([now, then], ignore_index=True)
    if pd.api.types.is_numeric_dtype(pooled):
        rank = min(SMALLEST_GROUP, len(pooled)) - 1
        ordered = np.sort(pooled.to_numpy())
        low, high = ordered[rank], ordered[-1 - rank]
        return Pair(column, now.clip(min(low, high), max(low, high)), then.clip(min(low, high), max(low, high)))
    counts = pooled.value_counts()
    common = set(counts[counts >= SMALLEST_GROUP].index)
    return Pair(column, now.where(now.isin(common), OTHER), then.where(then.isin(common), OTHER))


def pairs(current: pl.DataFrame, reference: pl.DataFrame, minimum: int) -> tuple[list[Pair], list[str]]:
    """Columns with at least ``minimum`` values on both sides, and the names of the others."""
    enough, few = [], []
    for column in sorted({*current.columns, *reference.columns}):
        sides = [f[column].drop_nulls() if column in f.columns else pl.Series() for f in (current, reference)]
        if min(len(s) for s in sides) >= minimum:
            enough.append(grouped(column, *sides))
        else:
            few.append(column)
    return enough, few


def judge(
    family: str,
    unit: str,
    tables: Sequence[tuple[pl.DataFrame, pl.DataFrame]],
    nights: int,
    params: Mapping[str, Any],
) -> tuple[Verdict, list[Pair]]:
    """Compare a family's tables, (current, reference) each, the main one first; returns what was compared, too."""
    n_current, n_reference = tables[0][0].height, tables[0][1].height
    minimum = int(params["minimum_rows"])
    compared: list[Pair] = []
    uncompared: list[str] = []
    for current, reference in tables:
        enough, few = pairs(current, reference, minimum)
        compared += enough
        uncompared += few
    results = holm([compare(p.column, p.current, p.reference) for p in compared], float(params["alpha"]))
    drifted = tuple(r.column for r in results if r.drifted)
    outcome, why = _outcome(drifted, n_current, n_reference, nights, minimum, unit)
    verdict = Verdict(
        family=family,
        verdict=outcome,
        unit=unit,
        n_current=n_current,
        n_reference=n_reference,
        nights=nights,
        why=why,
        drifted=drifted,
        share=round(len(drifted) / len(results), 4) if results else None,
        compared=results,
        uncompared=tuple(uncompared),
    )
    return verdict, compared


def _outcome(
    drifted: Sequence[str], n_current: int, n_reference: int, nights: int, minimum: int, unit: str
) -> tuple[Outcome, str]:
    if drifted:
        return "drift", f"{', '.join(drifted)} changed"
    if nights == 0:
        return "no verdict", "no reference: this is the first night"
    if n_current < minimum:
        return "no verdict", f"{n_current} {unit} tonight, fewer than {minimum}"
    if n_reference < minimum:
        return "no verdict", f"{n_reference} {unit} in the window, fewer than {minimum}"
    return "stable", "no column changed more than chance would"
