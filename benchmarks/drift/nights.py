"""Nights drawn from the pools: a panel of patients comes back, for a day or for several in a row.

A panel's patient is a patient of the sample, and in each table one of their rows. That row comes again at every visit,
with a little noise in its measurements, so visits of one patient are as similar as can be. The panel is as large as
ten nights, drawn once per chain: two nights differ by chance alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.drift.pools import list_rows_by_patient
from pipelines.monitoring.families.drift_table import PATIENT, SealedTable, seal_table

NOISE = 0.03
MEASURED_FROM = 30  # distinct values; a column with fewer is a count or a score, and stays as it is
VISIT_TABLES = ("patient_days", "own_features", "peer_features")
QUESTION_TABLES = ("questions", "asked", "served")
LINES_A_VISIT = 12
Pools = dict[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Setting:
    """A clinic's size and habits."""

    name: str
    visits: int  # a day
    questions: int  # a night
    stay: int = 1  # days in a row that a patient comes
    days: int = 1  # that a night's drop covers
    history: int = 0  # days that the first night brings; 0: the window is full


SETTINGS = (
    Setting("small", 25, 14),
    Setting("ordinary", 120, 60),
    Setting("large", 500, 250),
    Setting("ward", 120, 60, stay=5),
    Setting("weekly", 40, 60, stay=5, days=7),
    Setting("young", 60, 40, history=30),
)


class Clinic:
    """A panel of patients, and the nights on which they come."""

    def __init__(self, pools: Pools, setting: Setting, seed: int) -> None:
        self.pools, self.setting = pools, setting
        self.rng = np.random.default_rng([seed, *setting.name.encode()])
        self.rows = {name: list_rows_by_patient(pools[name]) for name in (*VISIT_TABLES, *QUESTION_TABLES)}
        sources = sorted(set.intersection(*(set(found) for found in self.rows.values())))
        self.panel = self.rng.choice(sources, 10 * max(setting.visits, setting.questions))
        self.places = {
            name: np.array([self.rng.choice(found[patient]) for patient in self.panel])
            for name, found in self.rows.items()
        }
        ages = pools["own_features"]["age"].to_numpy()[self.places["own_features"]]
        self.young = np.argsort(ages, kind="stable")[: len(self.panel) // 2]
        self.present: list[np.ndarray] = [self._arrive() for _ in range(setting.stay)]

    def _arrive(self, among: np.ndarray | None = None) -> np.ndarray:
        few = max(1, self.setting.visits // self.setting.stay)
        return self.rng.choice(len(self.panel) if among is None else among, few, replace=False)

    def draw_night(
        self, tables: Sequence[str], among: np.ndarray | None = None, days: int | None = None
    ) -> dict[str, pl.DataFrame]:
        """Draw a night's rows of some tables; only patients ``among`` come, if given."""
        visitors: list[np.ndarray] = []
        for _ in range(days or self.setting.days):
            self.present = [*self.present[1:], self._arrive(among)]
            visitors += self.present
        whole = np.concatenate(visitors)
        asking = self.rng.choice(
            len(self.panel) if among is None else among, self.setting.questions * (days or 1), replace=bool(days)
        )
        return {name: self._draw(name, whole, asking) for name in tables}

    def _draw(self, name: str, visitors: np.ndarray, asking: np.ndarray) -> pl.DataFrame:
        pool = self.pools[name]
        if name == "lines":
            return pool[self.rng.integers(len(pool), size=min(5_000, LINES_A_VISIT * len(visitors)))]
        if name in ("held_out", "ratings"):
            places = self.rng.integers(len(pool), size=max(1, len(asking) // 2))
            return pool[places].with_columns(pl.Series(PATIENT, np.arange(len(places))))
        members = visitors if name in VISIT_TABLES else asking
        members = members[:5_000]
        rows = pool[self.places[name][members]].with_columns(pl.Series(PATIENT, members))
        return self._measure_again(rows, pool) if name in VISIT_TABLES else rows

    def _measure_again(self, rows: pl.DataFrame, pool: pl.DataFrame) -> pl.DataFrame:
        noisy = [
            pl.Series(
                name, rows[name].to_numpy() * self.rng.normal(1, NOISE, len(rows)), nan_to_null=True
            ).round_sig_figs(3)
            for name in _list_measured(pool)
        ]
        return rows.with_columns(noisy)


def _list_measured(pool: pl.DataFrame) -> list[str]:
    numbers = [name for name, dtype in pool.schema.items() if dtype.is_float() and name != "age"]
    return [name for name in numbers if pool[name].n_unique() >= MEASURED_FROM]


def seal_night(night: dict[str, pl.DataFrame]) -> dict[str, SealedTable]:
    """Seal a night's tables as the product does."""
    return {name: seal_table(rows) for name, rows in night.items()}


def name_nights() -> Iterator[str]:
    """Names that sort in order."""
    return (f"{i:08}" for i in range(1, 1_000_000))
