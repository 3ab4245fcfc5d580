"""Row 4: do the women most like her tell what comes next for her, better than her cohort or than random peers do?

At half-yearly moments every woman is forecast: an outcome she does not have now, half a year later, is guessed by its
share among her peers now. Donors are patients of the training split alone. Random peers come from the same cohort and
age band (the same search over shuffled states), the cohort's mean from all its donors. The error is squared, in units
of each outcome's own variance; ``peers_better_than_X`` is X's error less the peers'. ``learned``: the same search with
the trajectory model's embedding in place of the fixed one (zeros where she has none). Coverage is the share of women
and moments for whom k peers are found at all, by slice.
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

from models.peers import patient_embedding, search
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
SHARES = tuple(o for o in search.OUTCOMES if o.unit == "%")
AGES = ((0, 25, "under_25"), (25, 35, "25_to_34"), (35, 200, "35_and_over"))


@dataclass(frozen=True, slots=True)
class Guess:
    """One outcome of one woman, half a year on: what came (0 or 100) and what each way of guessing said."""

    subject_id: int
    outcome: str
    came: float
    said: dict[str, float]


def rows(settings: Settings, donors: Sequence[int], women: Sequence[int], now: datetime) -> list[MetricRow]:
    """Row 4's rows for ``women``, none of whom is a donor."""
    grid = [now - AHEAD * i for i in range(MOMENTS, -1, -1)]
    states, learned = _states(settings, sorted({*donors, *women}), grid)
    guesses: list[Guess] = []
    covered: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for subject in women:
        kept = np.isin(states.subject, np.asarray([*donors, subject]))
        mine, hers = _of(states, kept), learned[kept]
        for at, later in pairwise(grid):
            found = _guess(mine, hers, subject, int(at.timestamp()), int(later.timestamp()), settings.k_anonymity)
            if found is None:
                continue
            slices, served, said = found
            guesses += said
            for name in ("all", *slices):
                covered[name].append((float(served), subject))
    return [*_errors(guesses), *_coverage(covered)]


def _states(
    settings: Settings, subjects: Sequence[int], grid: Sequence[datetime]
) -> tuple[States, NDArray[np.float64]]:
    """Everybody's state at each moment of the grid, from the feature store's point-in-time join; and the embeddings
    that the trajectory model gives the same rows, ``[n, d]``, zeros where it gives none."""
    asked = pd.DataFrame([(s, t) for t in grid for s in subjects], columns=["subject_id", "event_timestamp"])
    found = historical_rows.read_rows(settings, asked)
    columns = {name: [_seconds(v) for v in found[name]] for name in patient_embedding.FEATURES}
    made = patient_embedding.build_states(
        found["subject_id"].tolist(), [int(t.timestamp()) for t in found["event_timestamp"]], columns
    )
    given = [np.atleast_1d(v) if isinstance(v, list | tuple | np.ndarray) else None for v in found[EMBEDDING]]
    learned = np.zeros((len(given), max((len(v) for v in given if v is not None), default=1)))
    for i, vector in enumerate(given):
        if vector is not None and len(vector):
            learned[i] = vector
    return made, learned


def _seconds(value: object) -> object:
    """A value as ``models.peers.patient_embedding`` reads it: times as seconds, missing ones as None."""
    if isinstance(value, list | tuple | np.ndarray):
        return [_seconds(v) for v in value]
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    return int(value.timestamp()) if isinstance(value, datetime) else value


def _of(states: States, kept: NDArray[np.bool_]) -> States:
    cut = {
        f: getattr(states, f)[kept]
        for f in ("subject", "at", "embedding", "birth", "died", "edd", "lmp", "since", "ended")
    }
    return States(**cut, outcomes={name: values[kept] for name, values in states.outcomes.items()})


def _guess(
    states: States, learned: NDArray[np.float64], subject: int, at: int, later: int, k: int
) -> tuple[list[str], bool, list[Guess]] | None:
    """Slices she is in, whether she has peers, and the guesses; None where her state is not known at both moments."""
    here = np.flatnonzero((states.subject == subject) & (states.at == at))
    then = np.flatnonzero((states.subject == subject) & (states.at == later))
    if not len(here) or not len(then) or np.isnan(states.birth[here[0]]):
        return None
    shuffled = np.random.default_rng(at % 2**32).integers(-48, 48, states.embedding.shape) / 4
    near = _search(states, subject, at, k)
    far = _search(replace(states, embedding=shuffled), subject, at, k)
    alike = _search(replace(states, embedding=learned), subject, at, k)
    now = np.flatnonzero((states.at == at) & ~np.isnan(states.birth))
    cohort = patient_embedding.assign_cohorts(states, now, at)
    hers = int(patient_embedding.assign_cohorts(states, here, at)[0])
    others = now[(cohort == hers) & (states.subject[now] != subject)]
    years = float(at - states.birth[here[0]]) / YEAR
    slices = [f"cohort_{COHORTS[hers]}", *(f"age_{name}" for low, high, name in AGES if low <= years < high)]
    said = [
        Guess(subject, o.name, float(states.outcomes[o.name][then[0]]), {
            "peers": near[o.name], "random": far[o.name], "learned": alike[o.name],
            "cohort": float(states.outcomes[o.name][others].mean()),
        })
        for o in SHARES
        if states.outcomes[o.name][here[0]] == 0 and all(o.name in found for found in (near, far, alike))
    ]  # fmt: skip
    return slices, bool(near), said


def _search(states: States, subject: int, at: int, k: int) -> dict[str, float]:
    """Her peers' shares at a moment; empty where fewer than k are alike."""
    found = search.search_peers(states, [subject], np.array([at]), k)
    if not found["peers_count"][0]:
        return {}
    return {o.name: float(v) for o in SHARES if not np.isnan(v := found[f"peer_{o.name}"][0])}


def _errors(guesses: Sequence[Guess]) -> list[MetricRow]:
    spread = {o.name: float(np.var([g.came for g in guesses if g.outcome == o.name] or [0.0])) for o in SHARES}
    kept = [g for g in guesses if spread[g.outcome] > 0]
    subjects = [g.subject_id for g in kept]
    error = {who: [(g.came - g.said[who]) ** 2 / spread[g.outcome] for g in kept] for who in ("peers", *RIVALS)}
    out = [
        MetricRow.of(4, f"peer_error_{who}", SPLIT, bootstrap_mean(values, subjects)) for who, values in error.items()
    ]
    for who in RIVALS:
        e = bootstrap_difference(error[who], error["peers"], subjects)
        aim, holds = (0.0, e.ci_low > 0) if who in AIMS else (None, None)
        out.append(MetricRow.of(4, f"peers_better_than_{who}", SPLIT, e, target=aim, holds=holds))
    return [row for row in out if row.n]


def _coverage(covered: dict[str, list[tuple[float, int]]]) -> list[MetricRow]:
    return [
        MetricRow.of(4, f"peer_coverage_{name}", SPLIT, bootstrap_mean([v for v, _ in pairs], [s for _, s in pairs]))
        for name, pairs in sorted(covered.items())
    ]
