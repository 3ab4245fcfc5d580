"""Decide one verdict per family: ``drift``, ``stable``, or ``no verdict``, with the reason.

``drift`` if any column drifted (``column_tests`` bounds the false alarms over the family); ``stable`` only if the
family's main table had enough sampling units on both sides; otherwise ``no verdict``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import polars as pl

from pipelines.monitoring.column_tests import ColumnComparison, apply_holm, compare_column
from pipelines.params import DriftParams

VerdictName = Literal["drift", "stable", "no verdict"]

#: No category and no tail of a histogram stands for fewer sampling units than this.
SMALLEST_GROUP = 10
OTHER = "other"


@dataclass(frozen=True, slots=True)
class ColumnPair:
    """One column's values on both sides, nulls dropped and rare values grouped."""

    column: str
    current: pd.Series
    reference: pd.Series


@dataclass(frozen=True, slots=True)
class FamilyVerdict:
    """One family's verdict for a night; its fields are the keys of the verdict file.

    ``n_current`` and ``n_reference`` count the main table's sampling units (``unit``). ``share`` is drifted columns
    over compared ones, None if none was compared. ``uncompared`` are columns with too few values on one side.
    """

    family: str
    verdict: VerdictName
    unit: str
    n_current: int
    n_reference: int
    nights: int
    why: str
    drifted: tuple[str, ...] = ()
    share: float | None = None
    compared: tuple[ColumnComparison, ...] = ()
    uncompared: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        return asdict(self)


def group_rare_values(column: str, current: pl.Series, reference: pl.Series) -> ColumnPair:
    """Drop nulls and hide small groups, counted over both sides to keep the comparison fair.

    Categories rarer than ``SMALLEST_GROUP`` become ``other``; numbers are clipped to the smallest and greatest value
    that as many sampling units reach.
    """
    now, before = current.drop_nulls().to_pandas(), reference.drop_nulls().to_pandas()
    pooled = pd.concat([now, before], ignore_index=True)
    if pd.api.types.is_numeric_dtype(pooled):
        rank = min(SMALLEST_GROUP, len(pooled)) - 1
        ordered = np.sort(pooled.to_numpy())
        low, high = sorted((ordered[rank], ordered[-1 - rank]))
        return ColumnPair(column, now.clip(low, high), before.clip(low, high))
    counts = pooled.value_counts()
    common = set(counts[counts >= SMALLEST_GROUP].index)
    return ColumnPair(column, now.where(now.isin(common), OTHER), before.where(before.isin(common), OTHER))


def pair_columns(current: pl.DataFrame, reference: pl.DataFrame, minimum: int) -> tuple[list[ColumnPair], list[str]]:
    """Pair the columns with at least ``minimum`` values on both sides; name the others."""
    enough, few = [], []
    for column in sorted({*current.columns, *reference.columns}):
        sides = [f[column].drop_nulls() if column in f.columns else pl.Series() for f in (current, reference)]
        if min(len(s) for s in sides) >= minimum:
            enough.append(group_rare_values(column, *sides))
        else:
            few.append(column)
    return enough, few


def judge_family(
    family: str,
    unit: str,
    tables: Sequence[tuple[pl.DataFrame, pl.DataFrame]],
    nights: int,
    params: DriftParams,
) -> tuple[FamilyVerdict, list[ColumnPair]]:
    """Compare a family's (current, reference) tables, the main one first; return the pairs too."""
    n_current, n_reference = tables[0][0].height, tables[0][1].height
    minimum = params.minimum_rows
    compared: list[ColumnPair] = []
    uncompared: list[str] = []
    for current, reference in tables:
        enough, few = pair_columns(current, reference, minimum)
        compared += enough
        uncompared += few
    results = apply_holm([compare_column(p.column, p.current, p.reference) for p in compared], params.alpha)
    drifted = tuple(r.column for r in results if r.drifted)
    decision, why = _decide(drifted, n_current, n_reference, nights, minimum, unit)
    verdict = FamilyVerdict(
        family=family,
        verdict=decision,
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


def _decide(
    drifted: Sequence[str], n_current: int, n_reference: int, nights: int, minimum: int, unit: str
) -> tuple[VerdictName, str]:
    if drifted:
        return "drift", f"{', '.join(drifted)} changed"
    if nights == 0:
        return "no verdict", "no reference: this is the first night"
    if n_current < minimum:
        return "no verdict", f"{n_current} {unit} tonight, fewer than {minimum}"
    if n_reference < minimum:
        return "no verdict", f"{n_reference} {unit} in the window, fewer than {minimum}"
    return "stable", "no column changed more than chance would"
