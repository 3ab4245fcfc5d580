"""Row 4: do the nearest peers predict outcomes better than the cohort or random peers?

At half-yearly as-of times an outcome that a patient does not have, half a year later, is forecast by its share among
the peers now. Donors are patients of the training split alone. Random peers come from the same cohort and age band (the
same search over shuffled states), the cohort's mean from all its donors. The error is squared, in units of each
outcome's variance; ``peers_better_than_X`` is X's error less the peers'. ``learned``: the same search with the
trajectory model's embedding instead of the fixed one (zeros where there is none). Coverage is the share of patients and
times for which k peers are found at all, by slice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.peers import aggregates, patient_embedding, search
from models.peers.patient_embedding import NEITHER, POSTPARTUM_COHORT, PREGNANT, YEAR, States
from pipelines.evaluation.nightly.intervals import bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.features.build import historical_rows
from pmlm.settings import Settings

AHEAD = timedelta(days=182)
MOMENTS = 6
SPLIT = "held_out"
EMBEDDING = "trajectory_embedding"
COHORTS = {NEITHER: "neither", PREGNANT: "pregnant", POSTPARTUM_COHORT: "postpartum"}
RIVALS = ("cohort", "random", "learned")
AIMS = ("cohort", "random")
SHARES = tuple(o for o in aggregates.OUTCOMES if o.unit == "%")
AGES = ((0, 25, "under_25"), (25, 35, "25_to_34"), (35, 200, "35_and_over"))


@dataclass(frozen=True, slots=True)
class PeerForecast:
    """One patient's outcome half a year later (0 or 100), and each method's forecast."""

    subject_id: int
    outcome: str
    observed: float
    forecasts: dict[str, float]


def build_rows(settings: Settings, donors: Sequence[int], patients: Sequence[int], now: datetime) -> list[MetricRow]:
    """Build row 4's rows for ``patients``, none of whom is a donor."""
    grid = [now - AHEAD * i for i in range(MOMENTS, -1, -1)]
    states, learned = _load_states(settings, sorted({*donors, *patients}), grid)
    forecasts: list[PeerForecast] = []
    covered: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for subject in patients:
        selected = np.isin(states.subject, np.asarray([*donors, subject]))
        fixed, embedding = _select(states, selected), learned[selected]
        for at, later in pairwise(grid):
            times = int(at.timestamp()), int(later.timestamp())
            found = _forecast(fixed, embedding, subject, *times, settings.k_anonymity)
            if found is None:
                continue
            slices, served, made = found
            forecasts += made
            for name in ("all", *slices):
                covered[name].append((float(served), subject))
    return [*_error_rows(forecasts), *_coverage_rows(covered)]


def _load_states(
    settings: Settings, subjects: Sequence[int], grid: Sequence[datetime]
) -> tuple[States, NDArray[np.float64]]:
    """Load all states at each time of the grid by a point-in-time join, with embeddings.

    Embeddings are the trajectory model's, ``[n, d]``, zeros where it has none.
    """
    asked = pd.DataFrame([(s, t) for t in grid for s in subjects], columns=["subject_id", "event_timestamp"])
    found = historical_rows.read_rows(settings, asked)
    columns = {name: [_to_seconds(v) for v in found[name]] for name in patient_embedding.FEATURES}
    made = patient_embedding.build_states(
        found["subject_id"].tolist(),
        [int(t.timestamp()) for t in found["event_timestamp"]],
        columns,
        settings.currency_rule,
    )
    given = [np.atleast_1d(v) if isinstance(v, list | tuple | np.ndarray) else None for v in found[EMBEDDING]]
    learned = np.zeros((len(given), max((len(v) for v in given if v is not None), default=1)))
    for i, vector in enumerate(given):
        if vector is not None and len(vector):
            learned[i] = vector
    return made, learned


def _to_seconds(value: object) -> object:
    """Convert a value for ``models.peers.patient_embedding``: times to seconds, missing to None."""
    if isinstance(value, list | tuple | np.ndarray):
        return [_to_seconds(v) for v in value]
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    return int(value.timestamp()) if isinstance(value, datetime) else value


def _select(states: States, selected: NDArray[np.bool_]) -> States:
    cut = {
        f: getattr(states, f)[selected]
        for f in ("subject", "at", "embedding", "birth", "died", "edd", "lmp", "since", "ended")
    }
    return States(**cut, outcomes={name: values[selected] for name, values in states.outcomes.items()})


def _forecast(
    states: States, learned: NDArray[np.float64], subject: int, at: int, later: int, k: int
) -> tuple[list[str], bool, list[PeerForecast]] | None:
    """A patient's slices, whether peers exist, and the forecasts; None without both states."""
    here = np.flatnonzero((states.subject == subject) & (states.at == at))
    then = np.flatnonzero((states.subject == subject) & (states.at == later))
    if not len(here) or not len(then) or np.isnan(states.birth[here[0]]):
        return None
    shuffled = np.random.default_rng(at % 2**32).integers(-48, 48, states.embedding.shape) / 4
    near = _search_shares(states, subject, at, k)
    far = _search_shares(replace(states, embedding=shuffled), subject, at, k)
    by_learned = _search_shares(replace(states, embedding=learned), subject, at, k)
    now = np.flatnonzero((states.at == at) & ~np.isnan(states.birth))
    cohort = patient_embedding.assign_cohorts(states, now, at)
    own = int(patient_embedding.assign_cohorts(states, here, at)[0])
    others = now[(cohort == own) & (states.subject[now] != subject)]
    years = float(at - states.birth[here[0]]) / YEAR
    slices = [f"cohort_{COHORTS[own]}", *(f"age_{name}" for low, high, name in AGES if low <= years < high)]
    forecasts = [
        PeerForecast(subject, o.name, float(states.outcomes[o.name][then[0]]), {
            "peers": near[o.name], "random": far[o.name], "learned": by_learned[o.name],
            "cohort": float(states.outcomes[o.name][others].mean()),
        })
        for o in SHARES
        if states.outcomes[o.name][here[0]] == 0 and all(o.name in found for found in (near, far, by_learned))
    ]  # fmt: skip
    return slices, bool(near), forecasts


def _search_shares(states: States, subject: int, at: int, k: int) -> dict[str, float]:
    """The peers' outcome shares as of a time; empty where fewer than k are near."""
    found = search.search_peers(states, [subject], np.array([at]), k)
    if not found["peers_count"][0]:
        return {}
    return {o.name: float(v) for o in SHARES if not np.isnan(v := found[f"peer_{o.name}"][0])}


def _error_rows(made: Sequence[PeerForecast]) -> list[MetricRow]:
    variance = {o.name: float(np.var([f.observed for f in made if f.outcome == o.name] or [0.0])) for o in SHARES}
    varying = [f for f in made if variance[f.outcome] > 0]
    subjects = [f.subject_id for f in varying]
    error = {
        who: [(f.observed - f.forecasts[who]) ** 2 / variance[f.outcome] for f in varying] for who in ("peers", *RIVALS)
    }
    out = [
        MetricRow.of(4, f"peer_error_{who}", SPLIT, bootstrap_mean(values, subjects)) for who, values in error.items()
    ]
    for who in RIVALS:
        e = bootstrap_difference(error[who], error["peers"], subjects)
        aim, holds = (0.0, e.ci_low > 0) if who in AIMS else (None, None)
        out.append(MetricRow.of(4, f"peers_better_than_{who}", SPLIT, e, target=aim, holds=holds))
    return [row for row in out if row.n]


def _coverage_rows(covered: dict[str, list[tuple[float, int]]]) -> list[MetricRow]:
    return [
        MetricRow.of(4, f"peer_coverage_{name}", SPLIT, bootstrap_mean([v for v, _ in pairs], [s for _, s in pairs]))
        for name, pairs in sorted(covered.items())
    ]
