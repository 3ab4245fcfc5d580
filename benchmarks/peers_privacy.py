"""What the aggregates over peers give away: an attack over thousands of pairs of queries, beside a count of the groups.

The attacker knows a woman's record but for one secret: whether she has an outcome. He asks for the peers of the patient
nearest to her before she came to the clinic and after, and guesses. ``differencing`` sees these two answers only and
goes by whether the share rose or fell; ``all_but_one`` also knows every other woman's record, works out what would be
published for either secret, and compares: the worst case. A gain is his share of right guesses less that of always
guessing what is commoner; the baseline is the same attack on answers that are not rounded. k-anonymity bounds neither.

``python -m benchmarks.peers_privacy [--pairs N]`` takes the sample clinic's women, recombines them to a clinic of
``--women``, and writes ``results/peers_privacy.json``.
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
from models.peers import search
from models.peers.patient_embedding import YEAR, States, assign_cohorts
from pmlm.settings import PROJECT, Settings

RESULTS = Path(__file__).parent / "results" / "peers_privacy.json"
K = 10
SHARES = tuple(o for o in search.OUTCOMES if o.unit == "%")
TRIMESTER_WEEKS = (14, 28)


@dataclass(frozen=True, slots=True)
class Guesses:
    """Of each pair: the secret, and what either attacker guessed (None: he has nothing to go by)."""

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
    parser.add_argument("--women", type=int, default=400)
    asked = parser.parse_args()
    rows = build_rows(*load_states(), pairs=asked.pairs, women=asked.women)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    for said in rows:
        print(json.dumps(said))  # noqa: T201


def load_states() -> tuple[States, int]:
    """The states of the sample clinic's women after its last night, and that moment."""
    from pipelines.features.build import stage
    from pipelines.features.engines import peer_rows
    from pipelines.records.drops import list_drops
    from pipelines.records.stage import run as take_in

    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), drops=PROJECT / "examples" / "clinic")
        nights = [drop.night for drop in list_drops(settings)]
        for night in nights:
            take_in(settings, night)
        stage.run(settings, nights[-1])
        now: datetime = settings.now()
        return _select_last(peer_rows._read_states(settings.features, now)), int(now.timestamp())


def build_rows(states: States, now: int, pairs: int, women: int, seed: int = 0) -> list[dict[str, Any]]:
    """The rows of the result."""
    random = np.random.default_rng(seed)
    clinic = recombine(states, now, women, random)
    exact, coarse = (
        run_attack(clinic, now, pairs, seed, rounded=False),
        run_attack(clinic, now, pairs, seed, rounded=True),
    )
    rows = []
    for name in ("differencing", "all_but_one"):
        gains = [guesses.gain(getattr(guesses, name)) for guesses in (coarse, exact)]
        said = f"{name}_gain"
        rows.append(row(said, gains[0], "points of right guesses", len(coarse.secret), baseline=gains[1]))
    shown = 100 * float(np.mean([g is not None for g in coarse.all_but_one]))
    hidden = 100 * float(np.mean([g is not None for g in exact.all_but_one]))
    rows.append(row("all_but_one_exposed", shown, "% of secrets", len(coarse.secret), baseline=hidden))
    groups = pd.DataFrame(_list_members(clinic, now), columns=["query", "donor"])
    smallest = int(anonymity.k_anonymity(groups, ["query"]))
    asked = groups["query"].nunique()
    rows.append(row("k_by_pycanon", smallest, "women", asked, target=f">= {K}", holds=smallest >= K))
    return [*rows, *_coverage_rows(states, now)]


def recombine(states: States, now: int, women: int, random: np.random.Generator) -> States:
    """A clinic of ``women``, each half one and half another of the same cohort, born up to two years apart."""
    cohort = assign_cohorts(states, np.arange(len(states.subject)), now)
    one = random.integers(0, len(states.subject), women)
    other = np.array([random.choice(np.flatnonzero(cohort == cohort[i])) for i in one])
    swapped = random.random((women, states.embedding.shape[1])) < 0.5
    made = _select(states, one)
    return replace(
        made,
        subject=np.arange(1, women + 1),
        embedding=np.where(swapped, states.embedding[other], states.embedding[one]),
        birth=made.birth + random.integers(-2, 3, women) * YEAR,
        outcomes={name: np.where(random.random(women) < 0.5, v[one], v[other]) for name, v in states.outcomes.items()},
    )


def run_attack(clinic: States, now: int, pairs: int, seed: int, rounded: bool) -> Guesses:
    """Guess the secrets of ``pairs`` women, each by asking before and after her of the patient nearest to her."""
    random, guesses = np.random.default_rng(seed), Guesses([], [], [])
    with patch_rounding(rounded):
        while len(guesses.secret) < pairs:
            target, outcome = int(random.integers(len(clinic.subject))), SHARES[random.integers(len(SHARES))]
            asked = _find_nearest(clinic, target, now)
            if asked is None:
                continue
            secret = bool(clinic.outcomes[outcome.name][target])
            others = np.arange(len(clinic.subject)) != target
            said = {
                b: _read_share(_set_secret(clinic, target, outcome.name, b), asked, now, outcome) for b in (False, True)
            }
            before, after = _read_share(_select(clinic, np.flatnonzero(others)), asked, now, outcome), said[secret]
            rose = None if before is None or after is None or before == after else after > before
            guesses.secret.append(secret)
            guesses.differencing.append(rose)
            guesses.all_but_one.append(None if said[True] == said[False] else after == said[True])
    return guesses


@contextmanager
def patch_rounding(rounded: bool) -> Iterator[None]:
    """Answers as they are published, or as they would be without rounding."""
    before = search.coarsen
    if not rounded:
        search.coarsen = lambda value, step: value
    try:
        yield
    finally:
        search.coarsen = before


def _read_share(clinic: States, subject: int, now: int, outcome: search.PeerStatistic) -> float | None:
    said = float(search.search_peers(clinic, [subject], np.array([now]), K)[f"peer_{outcome.name}"][0])
    return None if np.isnan(said) else said


def _find_nearest(clinic: States, target: int, now: int) -> int | None:
    """The patient of the same cohort nearest to the target: the likeliest to count her among her peers."""
    cohort = assign_cohorts(clinic, np.arange(len(clinic.subject)), now)
    alike = np.flatnonzero((cohort == cohort[target]) & (np.arange(len(cohort)) != target))
    if not len(alike):
        return None
    away = ((clinic.embedding[alike] - clinic.embedding[target]) ** 2).sum(axis=1)
    return int(clinic.subject[alike[np.argmin(away)]])


def _set_secret(clinic: States, target: int, outcome: str, secret: bool) -> States:
    values = clinic.outcomes[outcome].copy()
    values[target] = 100.0 * secret
    return replace(clinic, outcomes=clinic.outcomes | {outcome: values})


def _list_members(clinic: States, now: int) -> list[tuple[int, int]]:
    """Who stands behind each patient's aggregates, for a count by others than those who chose them."""
    current = search._CurrentStates(clinic)
    current.advance(now)
    found = current.nearest(np.arange(len(current.donors)), K)
    return [(int(s), int(donor)) for s, rows in zip(current.donors, found, strict=True) for donor in rows if donor >= 0]


def _coverage_rows(states: States, now: int) -> Iterator[dict[str, Any]]:
    """The share of the sample's own women for whom k peers are found, by age, trimester and length of record."""
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
    """Each woman's newest state."""
    last = {int(s): i for i, s in enumerate(states.subject)}  # sorted by patient and time
    return _select(states, np.array(list(last.values())))


def _select(states: States, places: np.ndarray) -> States:
    """Some rows of the states."""
    picked = {f.name: getattr(states, f.name)[places] for f in fields(States) if f.name != "outcomes"}
    return States(**picked, outcomes={name: v[places] for name, v in states.outcomes.items()})


if __name__ == "__main__":
    main()
