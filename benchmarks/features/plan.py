"""Measure the parts of a night at small sizes, and simulate what ten million patients would take.

Run: ``python -m benchmarks.features.plan``. It writes ``results/scale_plan.json``. Nothing of the larger size is run:
each part's cost a unit is fitted over the sizes, as a constant and a share of what a night costs by itself (1 / n), or
of an index by log n, and drawn from the fit's prediction at the larger size, so that what sizes and repeats leave open
makes the interval wide. Costs are processor seconds of DuckDB and of the index on one machine, which other work on it
changes little; what a cluster's network and Spark add is not in them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from benchmarks.features.clinic import (
    create_clinic,
    read_sample_events,
    take_in_copies,
    take_in_news,
)
from benchmarks.features.peers import WANTED, build_cohort
from benchmarks.serving.figures import machine
from feature_repo.point_in_time import KEY
from models.peers import ann_index, search
from pipelines.features.build import stage
from pipelines.features.engines import peer_rows
from pipelines.features.online import materialise
from pipelines.night_dates import end_of_night
from pmlm.settings import Settings
from pmlm.storage import write_json

RESULTS = Path(__file__).parents[1] / "results" / "scale_plan.json"
HISTORY, NEXT = "20260601", "20260602"
PATIENTS, MEMBERS, REPEATS = (1000, 3000, 9000), (10_000, 30_000, 90_000), 3
#: What is simulated: patients, the share with news, and the members of the largest stripe of three years of births.
MANY, NEWS, STRIPE_MEMBERS, VISITED = 10_000_000, 0.01, 1_000_000, 3
ASKED, DRAWS = 1000, 20_000

#: Part → (size, cost per unit of size) for each time it was measured.
Measured = dict[str, list[tuple[int, float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--again", action="store_true", help="simulate again from the points that are recorded")
    given = parser.parse_args()
    if given.again:
        content = json.loads(RESULTS.read_text())
    else:
        content = {"machine": machine(), "load": round(os.getloadavg()[0], 1), "points": _measure_points(given.repeats)}
    write_json(RESULTS, content | {"simulated": simulate(content["points"])}, mode=0o644)


def _measure_points(repeats: int) -> Measured:
    events, measured = read_sample_events(), Measured()
    for name, size, cost in _measure(events, repeats):
        measured.setdefault(name, []).append((size, cost))
        print(json.dumps({"part": name, "size": size, "cost": cost}), flush=True)  # noqa: T201
    return measured


def _measure(events: pl.DataFrame, repeats: int) -> Iterator[tuple[str, int, float]]:
    for _ in range(repeats):
        for patients in PATIENTS:
            with tempfile.TemporaryDirectory() as folder:
                yield from _measure_night(create_clinic(Path(folder), "plan"), events, patients)
        for members in MEMBERS:
            yield from _measure_stripe(events, members)


def _measure_night(settings: Settings, events: pl.DataFrame, patients: int) -> Iterator[tuple[str, int, float]]:
    """Measure bytes a patient, and processor seconds a patient of a night in which 1 % have news."""
    take_in_copies(settings, HISTORY, events, patients, at_once=True)
    stage.run(settings, HISTORY)
    materialise.run(settings, HISTORY)
    for name, place in (("log", settings.events), ("features", settings.features), ("online", settings.feast)):
        yield f"{name}_bytes", patients, sum(f.stat().st_size for f in place.rglob("*") if f.is_file()) / patients
    take_in_news(settings, NEXT, events, patients, NEWS)
    for name, run in (("features", stage.run), ("materialise", materialise.run)):
        yield f"{name}_s", patients, _spend(partial(run, settings, NEXT)) / patients
    yield "peers_affected", patients, _count_affected(settings)
    yield "peers_changed", patients, _count_changed(settings)


def _count_affected(settings: Settings) -> float:
    """Share of patients with a member of their cohort and age band among those with news, themselves included."""
    states = peer_rows.read_states_at(settings.features, [end_of_night(NEXT)], settings.currency_rule)
    current = search.CurrentStates(states)
    current.advance(int(states.at.max()))
    everybody = np.arange(len(current.donors))
    first, last, _ = current.find_bands(everybody, settings.k_anonymity)
    cohort, news = current.assign_cohorts(everybody), current.donors % round(1 / NEWS) == 0
    met = np.zeros(len(everybody), bool)
    for c in np.unique(cohort):
        births, own = np.sort(current.now.birth[news & (cohort == c)]), cohort == c
        met[own] = np.searchsorted(births, last[own], "right") > np.searchsorted(births, first[own], "left")
    return float((met | news).mean())


def _count_changed(settings: Settings) -> float:
    """Share of patients whose row of peers is another than the night before."""
    before, after = (
        pl.read_parquet(settings.features / "peers" / f"{night}.parquet").sort(KEY[0]).drop(KEY[1], "created_timestamp")
        for night in (HISTORY, NEXT)
    )
    same = before.join(after, on=after.columns, how="semi", nulls_equal=True)
    return 1 - len(same) / len(after)


def _measure_stripe(events: pl.DataFrame, members: int) -> Iterator[tuple[str, int, float]]:
    """Measure an index of one stripe: processor seconds a member to build, a question to search; bytes a member."""
    states = build_cohort(events, members)
    current = search.CurrentStates(states)
    current.advance(int(states.at.max()))
    points = current.embed(np.arange(members))
    asked = np.sort(np.random.default_rng(0).choice(members, ASKED, replace=False))
    low, high, starts = np.zeros_like(asked), np.full_like(asked, members), np.array([0, members])
    indexes: list[Any] = []
    yield "index_build_s", members, _spend(lambda: indexes.extend(ann_index.build_indexes(points, starts))) / members
    names = np.arange(members)
    yield (
        "index_search_s",
        members,
        _spend(
            lambda: ann_index.rank_candidates(indexes, starts, points, names, asked, low, high, WANTED, points[asked])
        )
        / ASKED,
    )
    yield "stripe_bytes", members, indexes[0].memory_usage / members + points.nbytes / members


def _spend(call: Callable[[], object]) -> float:
    """Processor seconds of all threads."""
    started = time.process_time()
    call()
    return time.process_time() - started


def simulate(measured: Measured) -> dict[str, Any]:
    """Draw each part's cost at the larger size, and sum them to a night of ``MANY`` patients: median and 95 %."""
    random = np.random.default_rng(0)

    def draw(name: str, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        return predict(measured[name], size, random, grows=name.startswith("index"))

    hours = {
        "features": MANY * draw("features_s", MANY),
        "materialise": MANY * draw("materialise_s", MANY),
        "peers_build": MANY * draw("index_build_s", STRIPE_MEMBERS),
        "peers_search": MANY * VISITED * draw("index_search_s", STRIPE_MEMBERS),
    }
    gigabytes = {name: MANY * draw(f"{name}_bytes", MANY) / 1e9 for name in ("log", "features", "online")}
    stripe = STRIPE_MEMBERS * (draw("index_build_s", STRIPE_MEMBERS) + VISITED * draw("index_search_s", STRIPE_MEMBERS))
    return {
        "is_run": False, "patients": MANY, "news": NEWS, "stripe_members": STRIPE_MEMBERS, "stripes_visited": VISITED,
        "core_hours": {name: summarise(spent / 3600) for name, spent in hours.items()},
        "core_hours_together": summarise(np.sum(list(hours.values()), axis=0) / 3600),
        "longest_task_core_hours": summarise(stripe / 3600),
        "gigabytes": {name: summarise(size) for name, size in gigabytes.items()},
        "gigabytes_of_a_stripe": summarise(STRIPE_MEMBERS * draw("stripe_bytes", STRIPE_MEMBERS) / 1e9),
    }  # fmt: skip


def predict(
    found: list[tuple[int, float]], size: int, random: np.random.Generator, *, grows: bool = False
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Draw costs at ``size`` from the prediction of a straight line over 1 / n, or over log n where it ``grows``."""

    def place(n: Any) -> Any:
        return np.log(n) if grows else 1 / np.asarray(n, dtype=float)

    x, y = place([n for n, _ in found]), np.array([cost for _, cost in found])
    spread, free = ((x - x.mean()) ** 2).sum(), len(x) - 2
    slope = ((x - x.mean()) * (y - y.mean())).sum() / spread
    error = np.sqrt(((y - y.mean() - slope * (x - x.mean())) ** 2).sum() / free)
    away = place(size) - x.mean()
    width = error * np.sqrt(1 + 1 / len(x) + away**2 / spread)
    return np.asarray(y.mean() + slope * away + width * stats.t.rvs(free, size=DRAWS, random_state=random))


def summarise(drawn: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """Median, and the 2.5th and 97.5th percentile."""
    return [float(f"{v:.3g}") for v in np.percentile(drawn, [50, 2.5, 97.5])]


if __name__ == "__main__":
    main()
