"""Membership attacks on peer aggregates by pairs of queries, and group sizes.

The attacker knows a patient's record but for one secret: whether the patient has an outcome. They ask for the peers of
the nearest patient before and after the target came to the clinic, and guess. ``differencing`` sees these two answers
only and goes by whether the share rose or fell; ``all_but_one`` also knows every other patient's record, computes what
would be published for either secret, and compares: the worst case. A gain is the share of right guesses less that of
always guessing what is commoner; the baseline is the same attack on unrounded answers. k-anonymity bounds neither.

``python -m benchmarks.peers_privacy [--pairs N]`` recombines the sample clinic's patients to a clinic of ``--women``
patients, and writes ``results/peers_privacy.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pycanon import anonymity

from benchmarks.serving.figures import row
from models.peers import aggregates, search
from models.peers.patient_embedding import YEAR, States, assign_cohorts
from pmlm.settings import PROJECT, Settings

RESULTS = Path(__file__).parent / "results" / "peers_privacy.json"
K = 10
SHARES = tuple(o for o in aggregates.OUTCOMES if o.unit == "%")
TRIMESTER_WEEKS = (14, 28)


@dataclass(frozen=True, slots=True)
class Guesses:
    """Of each pair: the secret, and what each attacker guessed (None: no evidence)."""

    secret: list[bool]
    differencing: list[bool | None]
    all_but_one: list[bool | None]

    def gain(self, guessed: Sequence[bool | None]) -> float:
        """Points of right guesses above always guessing the commoner secret."""
        share = float(np.mean(self.secret))
        common = share >= 0.5
        right = [(common if g is None else g) == s for g, s in zip(guessed, self.secret, strict=True)]
        return 100 * (float(np.mean(right)) - max(share, 1 - share))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--women", dest="patients", type=int, default=400)
    asked = parser.parse_args()
    rows = build_rows(*load_states(), pairs=asked.pairs, patients=asked.patients)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    for result in rows:
        print(json.dumps(result))  # noqa: T201


def load_states() -> tuple[States, int]:
    """Load the states of the sample clinic's patients after its last night, and that time."""
    from pipelines.features.build import stage
    from pipelines.features.engines import peer_rows
    from pipelines.records.drops import list_drops
    from pipelines.records.stage import run as ingest

    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), drops=PROJECT / "examples" / "clinic")
        nights = [drop.night for drop in list_drops(settings)]
        for night in nights:
            ingest(settings, night)
        stage.run(settings, nights[-1])
        now: datetime = settings.now()
        return _select_last(peer_rows._read_states(settings.features, now)), int(now.timestamp())


def build_rows(states: States, now: int, pairs: int, patients: int, seed: int = 0) -> list[dict[str, Any]]:
    """Build the rows of the result."""
    random = np.random.default_rng(seed)
    clinic = recombine(states, now, patients, random)
    exact, coarse = (
        run_attack(clinic, now, pairs, seed, rounded=False),
        run_attack(clinic, now, pairs, seed, rounded=True),
    )
    rows = []
    for name in ("differencing", "all_but_one"):
        gains = [guesses.gain(getattr(guesses, name)) for guesses in (coarse, exact)]
        rows.append(row(f"{name}_gain", gains[0], "points of right guesses", len(coarse.secret), baseline=gains[1]))
    exposed = 100 * float(np.mean([g is not None for g in coarse.all_but_one]))
    unrounded = 100 * float(np.mean([g is not None for g in exact.all_but_one]))
    rows.append(row("all_but_one_exposed", exposed, "% of secrets", len(coarse.secret), baseline=unrounded))
    groups = pd.DataFrame(_list_members(clinic, now), columns=["query", "donor"])
    smallest = int(anonymity.k_anonymity(groups, ["query"]))
    asked = groups["query"].nunique()
    rows.append(row("k_by_pycanon", smallest, "women", asked, target=f">= {K}", holds=smallest >= K))
    return [*rows, *_coverage_rows(states, now)]


def recombine(states: States, now: int, patients: int, random: np.random.Generator) -> States:
    """Recombine pairs of patients of one cohort to a clinic of ``patients``."""
    cohort = assign_cohorts(states, np.arange(len(states.subject)), now)
    one = random.integers(0, len(states.subject), patients)
    other = np.array([random.choice(np.flatnonzero(cohort == cohort[i])) for i in one])
    swapped = random.random((patients, states.embedding.shape[1])) < 0.5
    made = _select(states, one)
    return replace(
        made,
        subject=np.arange(1, patients + 1),
        embedding=np.where(swapped, states.embedding[other], states.embedding[one]),
        birth=made.birth + random.integers(-2, 3, patients) * YEAR,
        outcomes={
            name: np.where(random.random(patients) < 0.5, v[one], v[other]) for name, v in states.outcomes.items()
        },
    )


def run_attack(clinic: States, now: int, pairs: int, seed: int, rounded: bool) -> Guesses:
    """Guess ``pairs`` secrets by queries for the nearest patient with and without the target."""
    random, guesses = np.random.default_rng(seed), Guesses([], [], [])
    with patch_rounding(rounded):
        while len(guesses.secret) < pairs:
            target, outcome = int(random.integers(len(clinic.subject))), SHARES[random.integers(len(SHARES))]
            asked = _find_nearest(clinic, target, now)
            if asked is None:
                continue
            secret = bool(clinic.outcomes[outcome.name][target])
            others = np.arange(len(clinic.subject)) != target
            shares = {
                b: _read_share(_set_secret(clinic, target, outcome.name, b), asked, now, outcome) for b in (False, True)
            }
            before, after = _read_share(_select(clinic, np.flatnonzero(others)), asked, now, outcome), shares[secret]
            rose = None if before is None or after is None or before == after else after > before
            guesses.secret.append(secret)
            guesses.differencing.append(rose)
            guesses.all_but_one.append(None if shares[True] == shares[False] else after == shares[True])
    return guesses


@contextmanager
def patch_rounding(rounded: bool) -> Iterator[None]:
    """Patch the rounding of answers away, unless ``rounded``."""
    before = aggregates.coarsen
    if not rounded:
        aggregates.coarsen = lambda value, step: value
    try:
        yield
    finally:
        aggregates.coarsen = before


def _read_share(clinic: States, subject: int, now: int, outcome: aggregates.PeerStatistic) -> float | None:
    share = float(search.search_peers(clinic, [subject], np.array([now]), K)[f"peer_{outcome.name}"][0])
    return None if np.isnan(share) else share


def _find_nearest(clinic: States, target: int, now: int) -> int | None:
    """Find the nearest patient of the target's cohort, whose peers most likely include the target."""
    cohort = assign_cohorts(clinic, np.arange(len(clinic.subject)), now)
    same = np.flatnonzero((cohort == cohort[target]) & (np.arange(len(cohort)) != target))
    if not len(same):
        return None
    distances = ((clinic.embedding[same] - clinic.embedding[target]) ** 2).sum(axis=1)
    return int(clinic.subject[same[np.argmin(distances)]])


def _set_secret(clinic: States, target: int, outcome: str, secret: bool) -> States:
    values = clinic.outcomes[outcome].copy()
    values[target] = 100.0 * secret
    return replace(clinic, outcomes=clinic.outcomes | {outcome: values})


def _list_members(clinic: States, now: int) -> list[tuple[int, int]]:
    """List the donors behind each patient's aggregates, to be counted by another library."""
    current = search.CurrentStates(clinic)
    current.advance(now)
    found = current.find_nearest(np.arange(len(current.donors)), K)
    return [(int(s), int(donor)) for s, rows in zip(current.donors, found, strict=True) for donor in rows if donor >= 0]


def _coverage_rows(states: States, now: int) -> Iterator[dict[str, Any]]:
    """The share of the sample's patients for whom k peers are found, by slice."""
    count = search.search_peers(states, states.subject.tolist(), np.full(len(states.subject), now), K)["peers_count"]
    for name, members in _slices(states, now).items():
        if members.any():
            yield row(f"served_{name}", float(np.mean(count[members] > 0)), "share of women", int(members.sum()))


def _slices(states: States, now: int) -> dict[str, np.ndarray]:
    age = (now - states.birth) / YEAR
    pregnant = assign_cohorts(states, np.arange(len(states.subject)), now) == 1
    weeks = np.where(pregnant, 40 - (states.edd - now) / (7 * 86_400), np.nan)
    first, second = TRIMESTER_WEEKS
    measured = (states.embedding[:, 1:22:2] == 0).sum(axis=1)  # signals with a value of the last two years
    return {
        "all": np.ones(len(age), bool),
        "age_under_25": age < 25,
        "age_25_to_34": (age >= 25) & (age < 35),
        "age_35_and_over": age >= 35,
        "trimester_1": weeks < first,
        "trimester_2": (weeks >= first) & (weeks < second),
        "trimester_3": weeks >= second,
        "record_short": measured <= np.median(measured) - 1,
        "record_usual": measured > np.median(measured) - 1,
    }


def _select_last(states: States) -> States:
    """Select each patient's newest state."""
    last = {int(s): i for i, s in enumerate(states.subject)}  # sorted by patient and time
    return _select(states, np.array(list(last.values())))


def _select(states: States, places: np.ndarray) -> States:
    """Select some rows of the states."""
    picked = {f.name: getattr(states, f.name)[places] for f in fields(States) if f.name != "outcomes"}
    return States(**picked, outcomes={name: v[places] for name, v in states.outcomes.items()})


if __name__ == "__main__":
    main()
