"""Replay nights through drift's own judgement: nights where nothing changed, and nights of planted shifts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import scipy.stats

from benchmarks.drift.nights import Clinic, Pools, Setting, name_nights, seal_night
from benchmarks.drift.plants import PLANTS
from pipelines.monitoring.drift import FAMILIES, judge_tables
from pipelines.monitoring.families.drift_table import SealedTable
from pipelines.monitoring.reference import Reference, add_references, summarise_table
from pipelines.monitoring.verdicts import FamilyVerdict
from pipelines.params import DriftParams

PARAMS = DriftParams(window=30, minimum_rows=12, alpha=0.01)
CHAIN = 20  # nights judged against one clinic's window, which moves with them
IN_TIME, LAST_OF_TREND = 2, 20
TABLES = {family: tuple(table.name for table in members) for family, members in FAMILIES.items()}
ALL_TABLES = tuple(name for names in TABLES.values() for name in names)


@dataclass(slots=True)
class Window:
    """The summaries of the last nights, as the product has them."""

    tables: Sequence[str]
    names: Iterator[str] = field(default_factory=name_nights)
    nights: list[tuple[str, Reference]] = field(default_factory=list)
    summed: Reference = field(default_factory=lambda: add_references([]))

    def add_night(self, sealed: dict[str, SealedTable], name: str) -> None:
        """Add a night; past the window's length the oldest leaves."""
        night = add_references(summarise_table(table, name, sealed[table]) for table in self.tables)
        self.nights = [*self.nights, (name, night)]
        self.summed = add_references([self.summed, night])
        if len(self.nights) > PARAMS.window:
            left, gone = self.nights.pop(0)
            means = self.summed.means.filter(pl.col("night") != left)
            less = Reference(gone.counts.with_columns(-pl.col("count")), means)
            self.summed = add_references([Reference(self.summed.counts, means.clear()), less])

    def judge_night(self, sealed: dict[str, SealedTable], name: str) -> dict[str, FamilyVerdict]:
        """Judge a night as the product does; tables that are not drawn are empty."""
        whole = {table: sealed.get(table, SealedTable()) for table in ALL_TABLES}
        verdicts, _ = judge_tables(name, whole, self.summed, len(self.nights), PARAMS)
        return {one.family: one for one in verdicts}


def open_clinic(pools: Pools, setting: Setting, seed: int, tables: Sequence[str]) -> tuple[Clinic, Window]:
    """A clinic with its window: full, or with the history alone."""
    clinic, window = Clinic(pools, setting, seed), Window(tables)
    for days in [setting.history] if setting.history else [None] * PARAMS.window:
        window.add_night(seal_night(clinic.draw_night(tables, days=days)), next(window.names))
    return clinic, window


def replay_quiet(pools: Pools, setting: Setting, seed: int) -> list[dict[str, Any]]:
    """Judge a chain of nights in which nothing changed; one row a night."""
    clinic, window = open_clinic(pools, setting, seed, ALL_TABLES)
    rows = []
    for _ in range(CHAIN):
        sealed, name = seal_night(clinic.draw_night(ALL_TABLES)), next(window.names)
        verdicts = window.judge_night(sealed, name)
        rows.append(
            {family: list_found(one) if one.verdict == "drift" else one.verdict for family, one in verdicts.items()}
        )
        window.add_night(sealed, name)
    return rows


def list_found(verdict: FamilyVerdict) -> list[str]:
    """What drifted, each with its test."""
    tests = [*verdict.compared, *verdict.trends]
    return [f"{one.column} ({one.method})" for one in sorted(tests, key=lambda one: one.score) if one.drifted]


def find_plants(pools: Pools, setting: Setting, family: str, seed: int) -> list[dict[str, Any]]:
    """Plant a family's shifts, each strength after the same window; the night that found each, and by what."""
    tables = TABLES[family]
    clinic, before = open_clinic(pools, setting, seed, tables)
    rows = []
    for plant in (one for one in PLANTS if one.family == family):
        for strength in plant.strengths:
            window = Window(tables, (f"1{name}" for name in name_nights()), list(before.nights), before.summed)
            last, found = (LAST_OF_TREND if plant.slow else IN_TIME), None
            for night in range(1, last + 1):
                changed = plant.change(clinic.draw_night(tables), clinic, strength, night)
                sealed, name = seal_night(changed), next(window.names)
                verdict = window.judge_night(sealed, name)[plant.family]
                if verdict.verdict == "drift":
                    found = night
                    break
                window.add_night(sealed, name)
            by = list_found(verdict)[:1] if found else []
            rows.append({"plant": plant.name, "strength": strength, "night": found, "by": by})
    return rows


def sum_quiet(nights: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Count false alarms by family and in any, with Clopper and Pearson's interval."""
    alarms = {family: sum(isinstance(night[family], list) for night in nights) for family in TABLES}
    judged = {family: sum(night[family] != "no verdict" for night in nights) for family in TABLES}
    either = sum(any(isinstance(found, list) for found in night.values()) for night in nights)
    columns = Counter(
        column for night in nights for found in night.values() if isinstance(found, list) for column in found
    )
    interval = scipy.stats.binomtest(either, len(nights)).proportion_ci(0.95, method="exact")
    return {
        "nights": len(nights),
        "judged": judged,
        "alarms": alarms,
        "nights_with_alarm": either,
        "interval": [round(interval.low, 4), round(interval.high, 4)],
        "columns": dict(columns.most_common(8)),
    }


def sum_plants(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sum the tries of each shift: found in one night, in two, the median night, and the test that found it."""
    summed = []
    keys = list(dict.fromkeys((row["plant"], row["strength"]) for row in rows))
    for plant, strength in keys:
        tries = [row for row in rows if (row["plant"], row["strength"]) == (plant, strength)]
        nights = sorted(row["night"] or 999 for row in tries)
        by = Counter(test for row in tries for test in row["by"])
        median = nights[len(nights) // 2]
        summed.append(
            {
                "plant": plant,
                "strength": strength,
                "tries": len(tries),
                "first_night": sum(night == 1 for night in nights),
                "within_two": sum(night <= IN_TIME for night in nights),
                "median_night": None if median == 999 else median,
                "last_night": None if nights[-1] == 999 else nights[-1],
                "by": dict(by.most_common(3)),
            }
        )
    return summed
