"""Find which outcomes of similar patients beat the cohort's, and save the findings.

At half-yearly times each outcome half a year later is forecast by the peers now and by the cohort now; of an outcome
that a patient has or has not, only for those who do not have it. Peers and cohort are training patients alone. How far
to shrink is fitted to training patients' later outcomes; whether an outcome is stated is decided by gate patients':

    better_o = mean over gate forecasts of [ (y' − c)² − (y' − ŷ)² ] / var(y')
    interval = better ± t · √(Σ_patients (Σ_own deviations)²) / n · √(G / (G − 1)),   t of G − 1 degrees of freedom

the cluster-robust interval of G patients (Liang and Zeger 1986), at a confidence of 1 − 0.05 / the number of outcomes,
so that a night states an outcome by chance once in twenty nights at most. ŷ is not rounded here: rounding moves a mean
that is too high down or up, which is no merit of the peers. No test patient is asked or is a donor.

Run: ``pmlm stage episodes``; ``pmlm evaluate --rows peers`` measures it on test patients.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from models.peers import search
from models.peers.aggregates import OUTCOMES, PeerStatistic
from models.peers.outcome_estimates import (
    FILE,
    Findings,
    OutcomeFinding,
    fit_support,
    save_findings,
    shrink_outcomes,
)
from models.peers.patient_embedding import States
from models.schema import FeatureRow
from pipelines import splits
from pipelines.features.engines import peer_rows
from pipelines.params import load_params
from pmlm.settings import Settings

AHEAD = timedelta(days=182)
MOMENTS = 6
#: Patients of a large clinic, by hash: enough to decide, few enough for a night.
MOST_DONORS, MOST_JUDGES = 2000, 400
FEWEST_JUDGES = 20  # gate patients with a forecast of the outcome
CONFIDENCE = 1 - 0.05 / len(OUTCOMES)


@dataclass(frozen=True, slots=True)
class OutcomeForecast:
    """One patient's outcome half a year later, and what a feature row had of peers and cohort before."""

    subject_id: int
    outcome: str
    later: float
    row: FeatureRow


def findings_path(settings: Settings) -> Path:
    return settings.episodes / FILE


def write_findings(settings: Settings) -> Findings:
    """Measure and save tonight's findings."""
    grid = list_grid(settings.now())
    states = peer_rows.read_states_at(settings.features, grid, settings.currency_rule)
    findings = measure_outcomes(states, load_params(settings).episodes.split, grid, settings.k_anonymity)
    save_findings(settings.episodes, findings)
    return findings


def list_grid(now: datetime) -> list[datetime]:
    return [now - AHEAD * i for i in range(MOMENTS, -1, -1)]


def measure_outcomes(states: States, shares: splits.SplitParams, grid: Sequence[datetime], k: int) -> Findings:
    """Fit each outcome's shrinkage to training patients and compare it with the cohort on gate patients."""
    donors = choose_patients(states, shares, splits.TRAIN)[:MOST_DONORS]
    judges = choose_patients(states, shares, splits.GATE)[:MOST_JUDGES]
    trained = _by_outcome(forecast_outcomes(states, donors, donors, grid, k))
    judged = _by_outcome(forecast_outcomes(states, donors, judges, grid, k))
    return {o.name: _find(o, trained[o.name], judged[o.name]) for o in OUTCOMES}


def choose_patients(states: States, shares: splits.SplitParams, split: str) -> list[int]:
    """Patients of a split in an order that does not depend on other patients."""
    known = [int(s) for s in np.unique(states.subject) if splits.assign_patient(int(s), shares) == split]
    return sorted(known, key=lambda s: splits.hash_order(str(s)))


def forecast_outcomes(
    states: States, donors: Sequence[int], asked: Sequence[int], grid: Sequence[datetime], k: int
) -> Iterator[OutcomeForecast]:
    """Forecast each patient's outcomes from each time of the grid to the next; none without k peers.

    ``states`` has each patient's state at each time. Of those asked nobody but donors is anybody's peer.
    """
    times = [int(t.timestamp()) for t in grid]
    members = set(donors)
    together = [[s for s in asked if s in members], *([s] for s in asked if s not in members)]
    for subjects in together:
        chosen = select_states(states, np.isin(states.subject, [*donors, *subjects]))
        yield from _forecast_group(chosen, subjects, times, k)


def _forecast_group(states: States, subjects: Sequence[int], times: Sequence[int], k: int) -> Iterator[OutcomeForecast]:
    place = {(int(s), int(t)): i for i, (s, t) in enumerate(zip(states.subject, states.at, strict=True))}
    asked = [
        (subject, at, place[subject, at], place[subject, later])
        for at, later in pairwise(times)
        for subject in subjects
        if (subject, at) in place and (subject, later) in place
    ]
    if not asked:
        return
    found = search.search_peers(states, [a[0] for a in asked], np.array([a[1] for a in asked]), k)
    for i, (subject, _, now, then) in enumerate(asked):
        if not found["peers_count"][i]:
            continue
        row: dict[str, Any] = {name: values[i].item() for name, values in found.items() if values.ndim == 1}
        for o in OUTCOMES:
            later = float(states.outcomes[o.name][then])
            if is_forecast(o, states, now) and not math.isnan(later) and not math.isnan(row[f"peer_{o.name}"]):
                yield OutcomeForecast(subject, o.name, later, row)


def is_forecast(outcome: PeerStatistic, states: States, now: int) -> bool:
    """Whether the outcome is forecast for this state: a mean always, a share where the patient does not have it."""
    return outcome.unit != "%" or bool(states.outcomes[outcome.name][now] == 0)


def select_states(states: States, selected: NDArray[np.bool_]) -> States:
    """Select rows of states."""
    cut = {f.name: getattr(states, f.name)[selected] for f in fields(States) if f.name != "outcomes"}
    return States(**cut, outcomes={name: values[selected] for name, values in states.outcomes.items()})


def _by_outcome(forecasts: Iterable[OutcomeForecast]) -> dict[str, list[OutcomeForecast]]:
    found: dict[str, list[OutcomeForecast]] = {o.name: [] for o in OUTCOMES}
    for forecast in forecasts:
        found[forecast.outcome].append(forecast)
    return found


def _find(outcome: PeerStatistic, trained: list[OutcomeForecast], judged: list[OutcomeForecast]) -> OutcomeFinding:
    fitted = [f for f in trained if not math.isnan(f.row[f"cohort_{outcome.name}"])]
    columns = [f"peer_{outcome.name}", f"cohort_{outcome.name}", "peers_count"]
    peers, cohort, count = np.array([[f.row[c] for c in columns] for f in fitted], dtype=float).reshape(-1, 3).T
    support = fit_support(np.array([f.later for f in fitted]), peers, cohort, count) if fitted else None
    unknown = OutcomeFinding(support, None, None, None, 0, 0)
    pairs = list(estimate_forecasts(judged, {outcome.name: unknown}))
    subjects = [f.subject_id for f, _ in pairs]
    later = np.array([f.later for f, _ in pairs])
    if len(set(subjects)) < FEWEST_JUDGES or later.var() == 0:
        return unknown
    cohorts = np.array([f.row[f"cohort_{outcome.name}"] for f, _ in pairs], dtype=float)
    estimates = np.array([estimate for _, estimate in pairs])
    better = ((later - cohorts) ** 2 - (later - estimates) ** 2) / later.var()
    mean, half = estimate_mean(better, subjects)
    low, high = round(mean - half, 6), round(mean + half, 6)
    return OutcomeFinding(support, round(mean, 6), low, high, len(pairs), len(set(subjects)))


def estimate_forecasts(
    forecasts: Iterable[OutcomeForecast], findings: Findings
) -> Iterator[tuple[OutcomeForecast, float]]:
    """Pair each forecast of which there is a finding with its shrunk estimate, not rounded."""
    for f in forecasts:
        for estimate in shrink_outcomes(f.row, findings):
            if estimate.outcome.name == f.outcome:
                yield f, estimate.exact


def estimate_mean(values: NDArray[np.float64], subjects: Sequence[int]) -> tuple[float, float]:
    """The mean and half of its patient-clustered interval."""
    _, place = np.unique(np.asarray(subjects), return_inverse=True)
    sums = np.bincount(place, weights=values - values.mean())
    error = math.sqrt(float(sums @ sums) * len(sums) / (len(sums) - 1)) / len(values)
    return float(values.mean()), float(stats.t.ppf((1 + CONFIDENCE) / 2, len(sums) - 1)) * error
