"""Row 4: do similar patients predict outcomes better than the cohort, where prompts state them?

At half-yearly times each outcome half a year later is forecast as the night does
(``pipelines.episodes.peer_outcomes``): donors are training patients, the findings come from training and gate patients,
and test patients are asked here.

    peers_better_than_cohort          the cohort's squared error less the estimate's, over what is stated alone
    peers_stated_X                    the share of estimates that are stated, by slice
    peers_shrunk_better_than_cohort   the same over every outcome, stated or not
    peers_raw_better_than_cohort      the same of the plain mean of the peers
    peers_better_than_X               the plain mean against that of random peers, and of ``learned``

Estimates are rounded as they are read, the cohort's mean is exact. Errors are in units of each outcome's variance.
Random peers come from the same cohort and age band (the same search over shuffled states), the cohort's mean from all
its donors. ``learned``: the same search with the trajectory model's embedding instead of the fixed one (zeros where
there is none). Coverage is the share of patients and times for which k peers are found at all, by slice. Where no
outcome is stated, there is nothing that could be better or worse than the cohort, and no row
``peers_better_than_cohort``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from feature_repo.point_in_time import KEY
from models.peers import aggregates, patient_embedding, search
from models.peers.outcome_estimates import Findings, shrink_outcomes
from models.peers.patient_embedding import NEITHER, POSTPARTUM_COHORT, PREGNANT, YEAR, States
from pipelines import splits
from pipelines.episodes import peer_outcomes
from pipelines.evaluation.nightly.intervals import bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.features.engines import feature_files, peer_rows
from pmlm.errors import FeaturesError
from pmlm.settings import Settings

SPLIT = splits.TEST
COHORTS = {NEITHER: "neither", PREGNANT: "pregnant", POSTPARTUM_COHORT: "postpartum"}
RIVALS = ("cohort", "random", "learned")
SHARES = tuple(o for o in aggregates.OUTCOMES if o.unit == "%")
AGES = ((0, 25, "under_25"), (25, 35, "25_to_34"), (35, 200, "35_and_over"))
_TRAJECTORY, _EMBEDDING = "trajectory", "trajectory_embedding"
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PeerForecast:
    """One patient's outcome half a year later (0 or 100, or a mean), and each method's forecast."""

    subject_id: int
    outcome: str
    observed: float
    forecasts: dict[str, float]
    slices: list[str] = field(default_factory=list)


def build_rows(settings: Settings, shares: splits.SplitParams, now: datetime) -> list[MetricRow]:
    """Build row 4's rows for test patients; none before features are built."""
    grid, k = peer_outcomes.list_grid(now), settings.k_anonymity
    try:
        states = peer_rows.read_states_at(settings.features, grid, settings.currency_rule)
    except FeaturesError:
        return []
    findings = peer_outcomes.measure_outcomes(states, shares, grid, k)
    donors = peer_outcomes.choose_patients(states, shares, splits.TRAIN)[: peer_outcomes.MOST_DONORS]
    learned = _read_embeddings(settings, states)
    forecasts: list[PeerForecast] = []
    covered: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for subject in peer_outcomes.choose_patients(states, shares, splits.TEST):
        selected = np.isin(states.subject, np.asarray([*donors, subject]))
        fixed, embedding = peer_outcomes.select_states(states, selected), learned[selected]
        for at, later in pairwise(int(t.timestamp()) for t in grid):
            found = _forecast(fixed, embedding, subject, at, later, k, findings)
            if found is None:
                continue
            slices, served, made = found
            forecasts += made
            for name in ("all", *slices):
                covered[name].append((float(served), subject))
    return [*_error_rows(forecasts, findings), *_share_rows("peer_coverage", covered)]


def _read_embeddings(settings: Settings, states: States) -> Floats:
    """Read the trajectory model's newest embedding at each state's moment, ``[n, d]``; zeros where it has none."""
    if not any((settings.features / _TRAJECTORY).glob("*.parquet")):
        return np.zeros((len(states.subject), 1))
    rows = feature_files.scan_rows(settings.features / _TRAJECTORY).select(*KEY, _EMBEDDING).sort(KEY[1]).collect()
    keys = {KEY[0]: states.subject, "place": np.arange(len(states.subject))}
    at = pl.from_epoch(pl.Series(KEY[1], states.at), "s").cast(rows.schema[KEY[1]])
    asked = pl.DataFrame(keys).with_columns(at).sort(KEY[1])
    found = asked.join_asof(rows, on=KEY[1], by=KEY[0], check_sortedness=False).sort("place")[_EMBEDDING].to_list()
    learned = np.zeros((len(found), max((len(v) for v in found if v), default=1)))
    for i, vector in enumerate(found):
        if vector:
            learned[i] = vector
    return learned


def _forecast(
    states: States, learned: Floats, subject: int, at: int, later: int, k: int, findings: Findings
) -> tuple[list[str], bool, list[PeerForecast]] | None:
    """A patient's slices, whether peers exist, and the forecasts; None without both states."""
    here = np.flatnonzero((states.subject == subject) & (states.at == at))
    then = np.flatnonzero((states.subject == subject) & (states.at == later))
    if not len(here) or not len(then) or np.isnan(states.birth[here[0]]):
        return None
    shuffled = np.random.default_rng(at % 2**32).integers(-48, 48, states.embedding.shape) / 4
    near = _search_row(states, subject, at, k)
    far = _search_row(replace(states, embedding=shuffled), subject, at, k)
    by_learned = _search_row(replace(states, embedding=learned), subject, at, k)
    own = int(patient_embedding.assign_cohorts(states, here, at)[0])
    others = _list_cohort(states, int(here[0]))
    years = float(at - states.birth[here[0]]) / YEAR
    slices = [f"cohort_{COHORTS[own]}", *(f"age_{name}" for low, high, name in AGES if low <= years < high)]
    shrunk = {e.outcome.name: e.value for e in shrink_outcomes(near, findings)}
    forecasts = [
        PeerForecast(subject, o.name, float(states.outcomes[o.name][then[0]]), {
            "peers": near[f"peer_{o.name}"], "random": far[f"peer_{o.name}"], "learned": by_learned[f"peer_{o.name}"],
            "cohort": float(np.nanmean(states.outcomes[o.name][others])), "shrunk": shrunk[o.name],
        }, ["all", *slices])
        for o in aggregates.OUTCOMES
        if o.name in shrunk and peer_outcomes.is_forecast(o, states, int(here[0]))
    ]  # fmt: skip
    return (
        slices,
        bool(near["peers_count"]),
        [f for f in forecasts if not np.isnan([f.observed, *f.forecasts.values()]).any()],
    )


def _list_cohort(states: States, now: int) -> NDArray[np.int64]:
    """The states of the others in a state's cohort at its moment."""
    at = int(states.at[now])
    here = np.flatnonzero((states.at == at) & ~np.isnan(states.birth) & ~(states.died <= at))
    cohort, own = (
        patient_embedding.assign_cohorts(states, here, at),
        patient_embedding.assign_cohorts(states, np.array([now]), at),
    )
    return here[(cohort == own[0]) & (states.subject[here] != states.subject[now])]


def _search_row(states: States, subject: int, at: int, k: int) -> dict[str, Any]:
    """What a feature row has of peers and cohort as of a time."""
    found = search.search_peers(states, [subject], np.array([at]), k)
    return {name: values[0].item() for name, values in found.items() if values.ndim == 1}


def _error_rows(made: Sequence[PeerForecast], findings: Findings) -> list[MetricRow]:
    variance = {
        o.name: float(np.var([f.observed for f in made if f.outcome == o.name] or [0.0])) for o in aggregates.OUTCOMES
    }
    varying = [f for f in made if variance[f.outcome] > 0]
    stated = [f for f in varying if f.outcome in findings and findings[f.outcome].is_stated]
    of_shares = [f for f in varying if f.outcome in {o.name for o in SHARES}]

    def error(who: str, among: Sequence[PeerForecast]) -> list[float]:
        return [(f.observed - f.forecasts[who]) ** 2 / variance[f.outcome] for f in among]

    def compare(name: str, who: str, rival: str, among: Sequence[PeerForecast], aim: bool = False) -> MetricRow:
        e = bootstrap_difference(error(rival, among), error(who, among), [f.subject_id for f in among])
        target, holds = (0.0, e.ci_low > 0) if aim and e.n else (None, None)
        return MetricRow.of(4, name, SPLIT, e, target=target, holds=holds)

    def measure(who: str, among: Sequence[PeerForecast]) -> MetricRow:
        e = bootstrap_mean(error(who, among), [f.subject_id for f in among])
        return MetricRow.of(4, f"peer_error_{who}", SPLIT, e)

    shares: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for f in varying:
        for name in f.slices:
            shares[name].append((float(f.outcome in findings and findings[f.outcome].is_stated), f.subject_id))
    rows = [
        compare("peers_better_than_cohort", "shrunk", "cohort", stated, aim=True),
        compare("peers_shrunk_better_than_cohort", "shrunk", "cohort", varying),
        compare("peers_raw_better_than_cohort", "peers", "cohort", of_shares),
        compare("peers_better_than_random", "peers", "random", of_shares, aim=True),
        compare("peers_better_than_learned", "peers", "learned", of_shares),
        *(measure(who, of_shares) for who in ("peers", "shrunk", *RIVALS)),
        *_share_rows("peers_stated", shares),
    ]  # fmt: skip
    return [row for row in rows if row.n]


def _share_rows(name: str, counted: dict[str, list[tuple[float, int]]]) -> list[MetricRow]:
    return [
        MetricRow.of(4, f"{name}_{part}", SPLIT, bootstrap_mean([v for v, _ in pairs], [s for _, s in pairs]))
        for part, pairs in sorted(counted.items())
    ]
