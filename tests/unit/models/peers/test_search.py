"""Peers: nearest as of a moment, never oneself, at least k, only as rounded aggregates."""

from __future__ import annotations

import datetime as dt
import math
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.store.services import find_groups
from models.patient.gestational_age import read_pregnancy_state
from models.peers.aggregates import OUTCOMES, RATINGS, coarsen
from models.peers.patient_embedding import (
    COUNT_SCALES,
    DAY,
    FEATURES,
    SIGNAL_SCALES,
    States,
    assign_cohorts,
    build_states,
)
from models.peers.search import AGE_BANDS_YEARS, COLUMNS, search_peers

FEW = settings(max_examples=15, deadline=None)
#: A clinic is hundreds of draws, too many to shrink one by one: a failure names its seed.
CLINICS = st.integers(0, 10**6).map(Random)
NOW = 20_000 * DAY
K = 3

Rows = list[dict[str, Any]]


def make_row(random: Random, subject: int, at: int) -> dict[str, Any]:
    """A random state: values missing, ages over twenty years, a third pregnant."""
    row: dict[str, Any] = dict.fromkeys(FEATURES)
    for name, (centre, scale) in SIGNAL_SCALES.items():
        if random.random() < 0.7:
            row[f"{name}_latest"] = centre + scale * random.choice((-1.0, 0.0, 0.25, 2.0))
            row[f"{name}_time"] = at - random.choice((1, 40, 900)) * DAY
    row["birth"] = at - random.randrange(20 * 365, 40 * 365) * DAY
    if random.random() < 0.4:
        row["pregnancy_since"] = at - random.choice((30, 200, 400)) * DAY
        row["edd"] = random.choice((None, row["pregnancy_since"] + 270 * DAY))
    if random.random() < 0.3:
        row["pregnancy_ended"] = at - random.choice((10, 300, 500)) * DAY
    row["condition_codes"] = random.choice(([], ["SNOMED//271737000"], ["SNOMED//59621000", "ICD10//O24.4"]))
    row["medicine_texts"] = random.choice(([], ["ferrous sulfate 325 MG"], ["ibuprofen"]))
    row["emergency_visit_times"] = random.choice(([], [at - 3 * DAY], [at - 800 * DAY]))
    row["rating_brief_mean"] = random.choice((None, 2.0, 4.5))
    row["weight_slope"] = random.choice((None, 0.31, -0.1))
    row["died"] = at - DAY if random.random() < 0.05 else None
    return row | {"subject_id": subject, "at": at}


def clinic(random: Random, patients: int, moments: int = 3) -> Rows:
    """Everybody's states at a few moments, ten days apart."""
    return [
        make_row(random, subject, NOW + 10 * DAY * m + subject)
        for subject in range(1, patients + 1)
        for m in range(moments)
        if random.random() < 0.8
    ]


def states_of(rows: Rows) -> States:
    rows = sorted(rows, key=lambda r: (r["subject_id"], r["at"]))
    columns = {name: [r[name] for r in rows] for name in FEATURES}
    return build_states([r["subject_id"] for r in rows], [r["at"] for r in rows], columns)


def peers_at(rows: Rows, subject: int, moment: int, k: int = K) -> dict[str, Any]:
    return read_answer(search_peers(states_of(rows), [subject], np.array([moment]), k), 0)


def read_answer(found: dict[str, np.ndarray[Any, Any]], place: int) -> dict[str, Any]:
    """One answer of several; None where nothing is known."""
    values = {name: found[name][place].tolist() for name in COLUMNS}
    return {name: None if np.isnan(value).any() else value for name, value in values.items()}


def by_hand(rows: Rows, subject: int, moment: int, k: int) -> list[dict[str, Any]]:
    """The naive search: everybody's latest state by then, one patient at a time."""
    latest: dict[int, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda r: r["at"]):
        if row["at"] <= moment:
            latest[row["subject_id"]] = row
    own = latest.get(subject)
    if own is None or not _alive(own, moment):
        return []
    embedded = search_peers(states_of(list(latest.values())), [*latest], np.full(len(latest), moment), 1)["embedding"]
    away = {s: math.dist(e, embedded[[*latest].index(subject)]) ** 2 for s, e in zip(latest, embedded, strict=True)}
    cohort = _cohort(own, moment)
    others = [
        r for s, r in sorted(latest.items()) if s != subject and _alive(r, moment) and _cohort(r, moment) == cohort
    ]
    for band in AGE_BANDS_YEARS:
        close = [r for r in others if abs(r["birth"] - own["birth"]) / (365.25 * DAY) <= band]
        if len(close) >= k:
            return sorted(close, key=lambda r: away[r["subject_id"]])[: 2 * k]
    return []


def _others(rows: Rows, subject: int, moment: int) -> Rows:
    """Everybody else's latest state in the patient's cohort; none for a patient unknown or dead."""
    latest = {r["subject_id"]: r for r in sorted(rows, key=lambda r: r["at"]) if r["at"] <= moment}
    own = latest.pop(subject, None)
    if own is None or not _alive(own, moment):
        return []
    return [r for r in latest.values() if _alive(r, moment) and _cohort(r, moment) == _cohort(own, moment)]


def _alive(row: dict[str, Any], moment: int) -> bool:
    return row["died"] is None or row["died"] > moment


def _cohort(row: dict[str, Any], moment: int) -> str:
    def date(seconds: int | None) -> dt.datetime | None:
        return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)

    names = ("edd", "lmp", "pregnancy_since", "pregnancy_ended")
    found = read_pregnancy_state({n: date(row[n]) for n in names} | {"as_of": date(row["at"])}, date(moment))
    return "pregnant" if found.pregnant else "after" if found.postpartum_weeks is not None else "no"


@FEW
@given(random=CLINICS, patients=st.integers(1, 25), later=st.integers(-5, 40))
def test_peers_equal_a_naive_search(random: Random, patients: int, later: int) -> None:
    rows, moment = clinic(random, patients), NOW + later * DAY
    for subject in (1, 2):
        nearest = by_hand(rows, subject, moment, K)
        found = peers_at(rows, subject, moment)
        assert found["peers_count"] == len(nearest)
        anaemic = [100.0 * ("SNOMED//271737000" in r["condition_codes"]) for r in nearest]
        slopes = sorted(r["weight_slope"] for r in nearest if r["weight_slope"] is not None)
        assert found["peer_anaemia"] == (coarsen(sum(anaemic) / len(nearest), 5) if nearest else None)
        others = _others(rows, subject, moment)
        ill = [100.0 * ("SNOMED//271737000" in r["condition_codes"]) for r in others]
        assert found["cohort_anaemia"] == (coarsen(sum(ill) / len(ill), 5) if len(ill) >= K else None)
        assert found["peer_weight_gain"] == (coarsen(sum(slopes) / len(slopes), 0.1) if len(slopes) >= K else None)


@FEW
@given(random=CLINICS, patients=st.integers(1, 40))
def test_at_least_k_patients_or_nothing_is_published(random: Random, patients: int) -> None:
    rows = clinic(random, patients, moments=1)
    subjects = [row["subject_id"] for row in rows]
    together = search_peers(states_of(rows), subjects, np.full(len(rows), NOW + 50 * DAY), 10)
    for place in range(len(rows)):
        found = read_answer(together, place)
        published = {name: v for name, v in found.items() if name.startswith("peer_") and v is not None}
        assert found["peers_count"] == 0 or 10 <= found["peers_count"] <= 20
        assert found["peers_count"] or not published


@FEW
@given(random=CLINICS)
def test_own_outcomes_never_enter_the_aggregates(random: Random) -> None:
    rows = clinic(random, 20, moments=1)
    own = rows[0]
    changed = own | {"rating_brief_mean": 1.0, "weight_slope": 9.9}  # outcomes that are no part of the embedding
    other = [changed, *rows[1:]]
    before, after = (peers_at(r, own["subject_id"], NOW + 20 * DAY) for r in (rows, other))
    assert {n: v for n, v in before.items() if n != "embedding"} == {n: v for n, v in after.items() if n != "embedding"}


@FEW
@given(random=CLINICS)
def test_states_after_the_moment_change_nothing(random: Random) -> None:
    rows, moment = clinic(random, 20), NOW + 12 * DAY
    by_then = [r for r in rows if r["at"] <= moment]
    for subject in (1, 2, 3):
        early, all_ = peers_at(by_then, subject, moment), peers_at(rows, subject, moment)
        assert str(early) == str(all_)


@FEW
@given(random=CLINICS)
def test_asking_together_or_one_by_one_gives_the_same(random: Random) -> None:
    rows = clinic(random, 20)
    asked = sorted((NOW + d * DAY, s) for d in (0, 11, 11, 30) for s in range(1, 8))
    together = search_peers(states_of(rows), [s for _, s in asked], np.array([m for m, _ in asked]), K)
    one_by_one = [peers_at(rows, s, m) for m, s in asked]
    assert [read_answer(together, place) for place in range(len(asked))] == one_by_one


@FEW
@given(random=CLINICS)
def test_every_value_is_coarse(random: Random) -> None:
    rows = clinic(random, 25, moments=1)
    subjects = [row["subject_id"] for row in rows]
    found = search_peers(states_of(rows), subjects, np.full(len(rows), NOW + 20 * DAY), K)
    for outcome in (*OUTCOMES, *RATINGS):
        for value in found[f"peer_{outcome.name}"]:
            assert np.isnan(value) or math.isclose(value / outcome.step, round(value / outcome.step), abs_tol=1e-9)


@FEW
@given(random=CLINICS, later=st.integers(0, 500))
def test_cohorts_are_those_of_the_gestation_rules(random: Random, later: int) -> None:
    rows = [make_row(random, subject, NOW) for subject in range(30)]
    found = assign_cohorts(states_of(rows), np.arange(30), NOW + later * DAY)
    assert [("no", "pregnant", "after")[c] for c in found] == [_cohort(r, NOW + later * DAY) for r in rows]


def test_moments_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="ascending"):
        search_peers(states_of(clinic(Random(1), 3)), [1, 1], np.array([NOW + DAY, NOW]), K)


def test_distances_are_exact_fractions() -> None:
    rows = clinic(Random(5), 20, moments=1)
    embedded = search_peers(states_of(rows), [r["subject_id"] for r in rows], np.full(len(rows), NOW + 40 * DAY), K)
    assert (embedded["embedding"] * 16 % 1 == 0).all()


def test_the_view_says_what_the_method_measures() -> None:
    fields = {field.name: field.tags.get("unit") for field in find_groups()["peers"].view.features}
    assert set(fields) == set(COLUMNS)
    assert {o.name: o.unit for o in (*OUTCOMES, *RATINGS)} == {
        name.removeprefix("peer_"): unit for name, unit in fields.items() if name.startswith("peer_")
    }


def test_states_read_features_that_exist() -> None:
    known = {field.name for module in find_groups().values() for field in module.view.features}
    assert set(FEATURES) | set(COUNT_SCALES) <= known
