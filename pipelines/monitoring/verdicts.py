"""Decide one verdict per family: ``drift``, ``stable``, or ``no verdict``, with the reason.

``drift`` if any column drifted (``column_tests`` bounds the false alarms over the family); ``stable`` only if the
family's main table had enough sampling units on both sides; otherwise ``no verdict``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd
import polars as pl

from pipelines.monitoring.column_tests import (
    ColumnComparison,
    ColumnPair,
    apply_holm,
    compare_column,
    group_rare_values,
)
from pipelines.monitoring.families.drift_table import MISSING, SealedTable
from pipelines.monitoring.trends import compute_trend
from pipelines.params import DriftParams

VerdictName = Literal["drift", "stable", "no verdict"]


@dataclass(frozen=True, slots=True)
class FamilyVerdict:
    """One family's verdict for a night; its fields are the keys of the verdict file.

    ``n_current`` and ``n_reference`` count the main table's sampling units (``unit``). ``share`` is drifted columns
    over compared ones, None if none was compared. ``uncompared`` are columns with too few values on one side;
    ``trends`` are tests over the last nights' levels.
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
    trends: tuple[ColumnComparison, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        return asdict(self)


def pair_columns(current: SealedTable, reference: SealedTable, minimum: int) -> tuple[list[ColumnPair], list[str]]:
    """Pair the columns with at least ``minimum`` values on both sides; name the others."""
    enough, few = [], []
    tables = (current, reference)
    for column in sorted({*current.frame.columns, *reference.frame.columns}):
        now, before = (t.frame[column].drop_nulls() if column in t.frame.columns else pl.Series() for t in tables)
        if column.startswith(MISSING) and len({*now.unique(), *before.unique()}) < 2:
            continue  # always there, or never: no chance of a difference, and no cost in Holm's correction
        if min(len(now), len(before)) >= minimum:
            patients = (current.count_patients(column), reference.count_patients(column))
            enough.append(group_rare_values(column, now, before, patients))
        else:
            few.append(column)
    return enough, few


def judge_family(
    family: str,
    unit: str,
    tables: Sequence[tuple[SealedTable, SealedTable]],
    nights: int,
    params: DriftParams,
    levels: pl.DataFrame | None = None,
) -> tuple[FamilyVerdict, list[ColumnPair]]:
    """Compare a family's (current, reference) tables, the main one first; return the pairs too.

    ``levels`` (``column``, ``night``, ``n``, ``mean``) are the nights' levels, tonight's included, for trends.
    """
    n_current, n_reference = tables[0][0].frame.height, tables[0][1].frame.height
    minimum = params.minimum_rows
    compared: list[ColumnPair] = []
    uncompared: list[str] = []
    for current, reference in tables:
        enough, few = pair_columns(current, reference, minimum)
        compared += enough
        uncompared += few
    trends = _test_trends(levels, compared) if levels is not None else []
    tested = [compare_column(pair) for pair in compared]
    results = apply_holm([*tested, *trends], params.alpha)
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
        compared=results[: len(tested)],
        uncompared=tuple(uncompared),
        trends=results[len(tested) :],
    )
    return verdict, compared


def _test_trends(levels: pl.DataFrame, compared: Sequence[ColumnPair]) -> list[ColumnComparison]:
    """Test the levels of the compared columns that have some."""
    spreads = {p.column: float(p.reference.std()) for p in compared if pd.api.types.is_numeric_dtype(p.reference)}
    by_column = levels.filter(pl.col("column").is_in(sorted(spreads))).sort("column").partition_by("column")
    tests = (compute_trend(name, nights, spreads[name]) for nights in by_column for name in nights["column"][:1])
    return [test for test in tests if test is not None]


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
