"""Embed a patient's state for peer search, with cohort and outcomes.

    h_t = [ z(signal), 1[signal missing], …, z(counts), 1[concept], …, z(age_t), z(weeks_t), 1[undated_t] ]
    z(x) = clip((x − centre) / scale, −3, 3) rounded to sixteenths,   0 where x is missing

1. Centres and scales are fixed below, so that an embedding never depends on other patients or on later data.
2. Sixteenths make every squared distance an exact binary fraction: no rounding, no dependence on the order of
   summation.
3. A signal counts if it was measured within two years of the state's moment, a medicine or condition if it is current
   then by the clinic's rule (``models.patient.currency``).

The trajectory model's hidden state can replace ``States.embedding`` without any other change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.fact_disputes import is_disputed
from models.patient import gestational_age
from models.patient.currency import DEFAULT_RULE, CurrencyRule, judge_condition, judge_medicine
from models.vocabulary import CONCEPTS, find_concept, find_drug_class

DAY = 86_400
YEAR = 365.25 * DAY
TERM, LONGEST, POSTPARTUM, SOONEST = (
    int(length.total_seconds())
    for length in (gestational_age.TERM, gestational_age.LONGEST, gestational_age.POSTPARTUM, gestational_age.SOONEST)
)
STALE = 730 * DAY  # age from which a signal no longer counts
NEITHER, PREGNANT, POSTPARTUM_COHORT = 0, 1, 2

#: signal → (centre, scale) of adult women, in the signal's unit
SIGNAL_SCALES: dict[str, tuple[float, float]] = {
    "weight": (70, 15),
    "bmi": (26, 6),
    "systolic": (115, 12),
    "diastolic": (74, 9),
    "haemoglobin": (12.5, 1.3),
    "glucose": (92, 15),
    "hba1c": (5.5, 0.6),
    "phq9": (6, 5),
    "gad7": (5, 4),
    "pain": (2, 2),
    "audit_c": (2, 2),
}
#: counts → (centre, scale); visits, emergencies and missed visits of the last year, open medicines
COUNT_SCALES: dict[str, tuple[float, float]] = {
    "pregnancies": (1, 1.5),
    "miscarriages": (0, 1),
    "visit_times": (4, 4),
    "emergency_visit_times": (0, 1),
    "missed_visit_times": (0, 1),
    "medicine_texts": (2, 3),
}
AGE_SCALE, WEEKS_SCALE = (30.0, 8.0), (20.0, 10.0)
#: Numbers of an embedding that time alone changes.
TIME_DIMENSIONS = 3
FLAGS: tuple[str, ...] = tuple(c.name for c in CONCEPTS if c.name != "pregnancy")

#: The features that ``build_states`` reads.
FEATURES: tuple[str, ...] = (
    *(f"{name}_{part}" for name in SIGNAL_SCALES for part in ("latest", "time")),
    "weight_slope",
    *COUNT_SCALES,
    "medicine_times",
    "medicine_ends",
    "condition_codes",
    "condition_texts",
    "condition_times",
    "smoking",
    "birth",
    "died",
    "edd",
    "lmp",
    "pregnancy_since",
    "pregnancy_ended",
    "rating_brief_mean",
    "rating_detailed_mean",
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class States:
    """One row per patient and moment; times in seconds since 1970, NaN where unknown.

    Shapes are ``[n]`` and ``[n, d]``.
    """

    subject: NDArray[np.int64]
    at: NDArray[np.int64]
    embedding: Floats
    birth: Floats
    died: Floats
    edd: Floats
    lmp: Floats
    since: Floats
    ended: Floats
    outcomes: dict[str, Floats]


#: The fields of ``States`` with one time each.
TIME_FIELDS = ("birth", "died", "edd", "lmp", "since", "ended")


def make_unknown_states(subject: NDArray[np.int64]) -> States:
    """Make one row per patient with unknown times, without embedding or outcomes."""
    times = {name: np.full(len(subject), np.nan) for name in TIME_FIELDS}
    return States(
        subject=subject, at=np.zeros_like(subject), embedding=np.empty((len(subject), 0)), **times, outcomes={}
    )


def build_states(
    subject: Sequence[int] | NDArray[np.int64],
    at: Sequence[int] | NDArray[np.int64],
    columns: Mapping[str, Any],
    rule: CurrencyRule = DEFAULT_RULE,
) -> States:
    """Build states from the columns of ``FEATURES``: times in seconds; None or NaN where unknown.

    ``rule`` says what is current.
    """
    moments = np.asarray(at, dtype=np.int64)
    columns = {**columns, **_select_current(columns, moments, rule)}
    times = {name: _to_numbers(columns[name]) for name in ("birth", "died", "edd", "lmp", "pregnancy_since")}
    ended = _to_numbers(columns["pregnancy_ended"])
    flags = _flag_concepts(columns["condition_codes"])
    recent = {name: _count_recent(columns[name], moments) for name in COUNT_SCALES if name.endswith("_times")}
    return States(
        subject=np.asarray(subject, dtype=np.int64),
        at=moments,
        embedding=_embed_columns(columns, moments, flags, recent),
        birth=times["birth"],
        died=times["died"],
        edd=times["edd"],
        lmp=times["lmp"],
        since=times["pregnancy_since"],
        ended=ended,
        outcomes=_collect_outcomes(columns, flags, recent),
    )


def _select_current(columns: Mapping[str, Any], moments: NDArray[np.int64], rule: CurrencyRule) -> dict[str, list[Any]]:
    """Select the conditions and medicines that are current at each state's own moment."""
    seen = moments.tolist()
    medicines = zip(columns["medicine_texts"], columns["medicine_times"], columns["medicine_ends"], seen, strict=True)
    conditions = zip(
        columns["condition_codes"], columns["condition_texts"], columns["condition_times"], seen, strict=True
    )
    return {
        "medicine_texts": [
            [text for text, time, end in zip_longest(texts, times or (), ends or ())
             if text is not None and not is_disputed(text) and not judge_medicine(text, time, end, at, rule)]
            for texts, times, ends, at in ((texts or (), *rest) for texts, *rest in medicines)
        ],
        "condition_codes": [
            [code for code, text, time in zip_longest(codes, texts or (), times or ())
             if code is not None and not judge_condition(code, text or "", time, at, rule)]
            for codes, texts, times, at in ((codes or (), *rest) for codes, *rest in conditions)
        ],
    }  # fmt: skip


def assign_cohorts(s: States, row: NDArray[np.int64], moment: int) -> NDArray[np.int64]:
    """Assign pregnant, postpartum or neither as of ``moment`` by the rules of ``gestational_age``."""
    stated, age = _date_pregnancies(s, row, moment)
    after = moment // DAY - s.ended[row] // DAY
    born = ~stated & (after >= 0) & (after <= POSTPARTUM // DAY)
    return np.where(stated & (age <= LONGEST // DAY), PREGNANT, np.where(born, POSTPARTUM_COHORT, NEITHER))


def embed_time(s: States, row: NDArray[np.int64], moment: int) -> Floats:
    """Embed what time alone changes: age, gestational week, week unknown; ``[len(row), 3]``."""
    pregnant = assign_cohorts(s, row, moment) == PREGNANT
    by_edd, by_lmp = _find_start(s.edd[row] - TERM, s, row, moment), _find_start(s.lmp[row], s, row, moment)
    start = np.where(np.isnan(by_edd), by_lmp, by_edd)
    weeks = np.where(pregnant, (moment // DAY - start) / 7, np.nan)
    age = _standardize((moment - s.birth[row]) / YEAR, *AGE_SCALE)
    return np.column_stack([age, _standardize(weeks, *WEEKS_SCALE), (pregnant & np.isnan(weeks)).astype(float)])


def _date_pregnancies(s: States, row: NDArray[np.int64], moment: int) -> tuple[NDArray[np.bool_], Floats]:
    """Whether a pregnancy after the last end is stated, and the days since it began, or was first stated."""
    today, longest = moment // DAY, LONGEST // DAY
    ended, since = s.ended[row] // DAY, s.since[row] // DAY
    by_edd, by_lmp = _find_start(s.edd[row] - TERM, s, row, moment), _find_start(s.lmp[row], s, row, moment)
    since = np.where((since <= today) & (np.isnan(ended) | (since > ended + SOONEST // DAY)), since, np.nan)
    due = np.where(np.isnan(by_edd), np.nan, np.minimum(by_edd + TERM // DAY, today))
    first, last = np.fmin(since, due), np.fmax(since, due)
    begun = np.where(last - first > longest, last, first)
    for start in (by_lmp, by_edd):  # the delivery date outranks the last period
        begun = np.where(~np.isnan(first) & (begun <= start + longest), start, begun)
    return ~np.isnan(first), today - begun


def _find_start(start: Floats, s: States, row: NDArray[np.int64], moment: int) -> Floats:
    """The day of ``start`` where it lies after the last end and not after ``moment``, else NaN."""
    day, ended = start // DAY, s.ended[row] // DAY
    return np.where((day <= moment // DAY) & (np.isnan(ended) | (day > ended)), day, np.nan)


def _to_numbers(values: Sequence[Any] | Floats) -> Floats:
    if isinstance(values, np.ndarray):
        return values
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _standardize(x: Floats, centre: float, scale: float) -> Floats:
    z = np.clip((x - centre) / scale, -3, 3)
    return np.nan_to_num(np.round(z * 16) / 16, nan=0.0)


def _flag_concepts(codes: Sequence[Sequence[str] | None]) -> dict[str, Floats]:
    """For each concept, 1.0 where a condition of it is open, else 0.0."""
    place = {name: i for i, name in enumerate(FLAGS)}
    out = np.zeros((len(FLAGS), len(codes)))
    for column, conditions in enumerate(codes):
        for code in conditions or ():
            name = _find_concept_name(code)
            if name in place:
                out[place[name], column] = 1.0
    return dict(zip(FLAGS, out, strict=True))


@cache
def _find_concept_name(code: str) -> str | None:
    found = find_concept(code)
    return None if found is None else found.name


@cache
def _find_drug_class(name: str) -> str | None:
    return find_drug_class(name)


def _count_recent(times: Sequence[Sequence[int] | None], at: NDArray[np.int64]) -> Floats:
    """Count the times within a year before the moment."""
    many = np.array([len(each or ()) for each in times], dtype=np.int64)
    every = np.fromiter(chain.from_iterable(each for each in times if each), dtype=np.int64, count=many.sum())
    row = np.repeat(np.arange(len(many)), many)
    return np.bincount(row[at[row] - every <= YEAR], minlength=len(many)).astype(float)


def _embed_columns(
    columns: Mapping[str, Any], at: NDArray[np.int64], flags: dict[str, Floats], recent: dict[str, Floats]
) -> Floats:
    parts = []
    for name, (centre, scale) in SIGNAL_SCALES.items():
        fresh = at - _to_numbers(columns[f"{name}_time"]) <= STALE
        value = np.where(fresh, _to_numbers(columns[f"{name}_latest"]), np.nan)
        parts += [_standardize(value, centre, scale), np.isnan(value).astype(float)]
    for name, (centre, scale) in COUNT_SCALES.items():
        parts.append(_standardize(recent[name] if name in recent else _to_counts(columns[name]), centre, scale))
    smokes = np.array(["current" in (v or "").lower() or "daily" in (v or "").lower() for v in columns["smoking"]])
    return np.column_stack([*parts, *flags.values(), smokes.astype(float)])


def _to_counts(values: Sequence[Any] | Floats) -> Floats:
    if isinstance(values, np.ndarray):
        return np.nan_to_num(values)
    return np.array([v if isinstance(v, int) else len(v or ()) for v in values], dtype=float)


def _collect_outcomes(
    columns: Mapping[str, Any], flags: dict[str, Floats], recent: dict[str, Floats]
) -> dict[str, Floats]:
    """Collect what ``aggregates`` averages, in its units (shares as 0 or 100)."""
    iron = [any(_find_drug_class(text) == "iron" for text in texts or ()) for texts in columns["medicine_texts"]]
    return {
        "anaemia": 100 * flags["anaemia"],
        "gestational_diabetes": 100 * flags["gestational_diabetes"],
        "hypertension": 100 * np.maximum(flags["hypertension"], flags["preeclampsia"]),
        "depression": 100 * flags["depression"],
        "iron": 100 * np.array(iron, dtype=float),
        "emergency": 100 * (recent["emergency_visit_times"] > 0),
        "missed": 100 * (recent["missed_visit_times"] > 0),
        "weight_gain": _to_numbers(columns["weight_slope"]),
        "rating_brief": _to_numbers(columns["rating_brief_mean"]),
        "rating_detailed": _to_numbers(columns["rating_detailed_mean"]),
    }
