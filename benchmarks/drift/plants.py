"""Planted shifts: each changes a night's rows by a strength, and names where it must be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.drift.nights import Clinic
from benchmarks.drift.pools import CAPITALS, OTHER

POUNDS_A_KILO = 2.2046226
FIRST_PICK, KEPT = "first pick of ranking", "segments kept by ranking"
Night = dict[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Plant:
    """A shift: the family that must find it, its strengths, and what it does to a night's rows.

    ``change(night, clinic, strength, nights)``: ``nights`` since it began, from 1.
    """

    name: str
    family: str
    strengths: tuple[float, ...]
    meaning: str
    change: Callable[[Night, Clinic, float, int], Night]
    slow: bool = False


def _choose(clinic: Clinic, rows: pl.DataFrame, share: float) -> np.ndarray:
    return clinic.rng.random(len(rows)) < share


def _mix_cases(night: Night, clinic: Clinic, strength: float, nights: int) -> Night:
    """Replace visits by those of the younger half."""
    tables = tuple(night)
    young = clinic.draw_night(tables, among=clinic.young)
    chosen = {name: _choose(clinic, night[name], strength) for name in tables}
    return {
        name: pl.concat([night[name].filter(~chosen[name]), young[name][: int(chosen[name].sum())]]) for name in tables
    }


def _weigh_in_pounds(night: Night, clinic: Clinic, strength: float, nights: int) -> Night:
    rows = night["patient_days"]
    factor = np.where(_choose(clinic, rows, strength), POUNDS_A_KILO, 1.0)
    return night | {"patient_days": rows.with_columns(pl.col("weight") * pl.Series(factor))}


def _ask_otherwise(pool: str) -> Callable[[Night, Clinic, float, int], Night]:
    def change(night: Night, clinic: Clinic, strength: float, nights: int) -> Night:
        rows, other = night["questions"], clinic.pools[pool]
        drawn = other[clinic.rng.integers(len(other), size=len(rows))].select(pl.exclude("subject_id"))
        drawn = drawn.with_columns(rows["subject_id"]).select(rows.columns)
        chosen = _choose(clinic, rows, strength)
        return night | {"questions": pl.concat([rows.filter(~chosen), drawn.filter(chosen)])}

    return change


def _lose_feature(night: Night, clinic: Clinic, strength: float, nights: int) -> Night:
    """A share of patients has no blood pressure any more."""
    rows = night["own_features"]
    lost = pl.Series(_choose(clinic, rows, strength))
    value, absent = "systolic_latest", "no value of systolic_latest"
    return night | {
        "own_features": rows.with_columns(
            pl.when(lost).then(None).otherwise(pl.col(value)).alias(value),
            pl.when(lost).then(pl.lit("yes")).otherwise(pl.col(absent)).alias(absent),
        )
    }


def _collapse_policy(night: Night, clinic: Clinic, strength: float, nights: int) -> Night:
    """A share of answers states one fact, the same for everybody."""
    rows = night["served"]
    same = pl.Series(_choose(clinic, rows, strength))
    fewest = int(clinic.pools["served"][KEPT].min())  # type: ignore[arg-type]
    return night | {
        "served": rows.with_columns(
            pl.when(same).then(pl.lit("weight.latest")).otherwise(pl.col(FIRST_PICK)).alias(FIRST_PICK),
            pl.when(same).then(fewest).otherwise(pl.col(KEPT)).alias(KEPT),
        )
    }


def _raise_pressures(night: Night, clinic: Clinic, strength: float, nights: int) -> Night:
    rows = night["patient_days"]
    return night | {"patient_days": rows.with_columns(pl.col("systolic") * (1 + strength * nights))}


PLANTS = (
    Plant("case mix", "features", (0.5, 0.75, 1.0), "share of visits replaced by the younger half's", _mix_cases),
    Plant(
        "lab unit", "records", (0.25, 0.5, 1.0), "share of weights in pounds, written as kilograms", _weigh_in_pounds
    ),
    Plant("topic", "prompts", (0.25, 0.5, 1.0), "share of questions about appointments", _ask_otherwise(OTHER)),
    Plant("wording", "prompts", (0.25, 0.5, 1.0), "share of questions in capitals", _ask_otherwise(CAPITALS)),
    Plant("null", "features", (0.25, 0.5, 1.0), "share of patients whose blood pressure goes missing", _lose_feature),
    Plant("policy", "prompts", (0.25, 0.5, 1.0), "share of answers that state one same fact", _collapse_policy),
    Plant("trend", "records", (0.006, 0.012, 0.03), "rise of blood pressures a night", _raise_pressures, slow=True),
)
