"""``pmlm evaluate``: every row of the method's table, on one clinic's records and its last training.

Parts run one after the other, each is told when it is done, and all rewards go through the clinic's score cache: a run
that was stopped goes on where it was, and pays for no score twice. Writes ``metrics/method.jsonl`` (one row a line) and
``reports/method/`` (plots and a page).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import psutil

from models.llm import token_counter
from models.schema import Episode
from pipelines.errors import TrainingError
from pipelines.evaluation import changes, contenders, external, page, peers, prediction, preferences, replies, slicing
from pipelines.evaluation import trajectories as days
from pipelines.params import load_params
from pipelines.settings import Settings
from pipelines.storage import replacing
from pipelines.training import episode_file, rewards, splits
from pipelines.training.encoding import encoder
from pipelines.training.rows import Row
from pipelines.training.statistics import Estimate
from pipelines.training.train import reproducible

QUICK_EPISODES = 16
QUICK_GAINS = 240
Told = Callable[[str, float, int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for: a quick run (fewer episodes, one seed), external episodes, how many seeds and evaluations."""

    quick: bool = False
    external: Path | None = None
    seeds: int = 3
    budget: int | None = None


def evaluate(settings: Settings, options: Options, told: Told = lambda *_: None) -> list[Row]:
    """All rows, written and returned. :class:`TrainingError` where no night has been finished yet."""
    if not settings.events.exists() and not settings.episodes.exists():
        raise TrainingError("nothing to evaluate: run `pmlm night` first")
    seeds = 1 if options.quick else options.seeds
    found: list[Row] = []
    with reproducible():
        for name, part in _parts(settings, options, seeds):
            started = time.monotonic()
            made = part()
            found += made
            told(name, time.monotonic() - started, len(made))
    found.sort(key=lambda r: r.row)
    with replacing(settings.metrics / "method.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(row.json()) + "\n" for row in found))
    page.write(settings, found)
    return found


def _parts(settings: Settings, options: Options, seeds: int) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    now = settings.now()
    yield "changes", lambda: changes.rows(seeds)
    yield "preferences", lambda: preferences.rows(seeds)
    yield "predictions", lambda: _predictions(settings, now, seeds)
    yield "peers", lambda: _peers(settings, now)
    yield "replies", lambda: _replies(settings, options)


def _shares(settings: Settings) -> splits.SplitParams:
    params = load_params(settings)["episodes"]
    return splits.SplitParams(params["gate_share"], params["test_share"], params["time_quantile"])


def _predictions(settings: Settings, now: datetime, seeds: int) -> list[Row]:
    """Row 2: trained on training patients before the cut in time, measured on the others after it."""
    events = days.events(settings, now)
    asked = events.filter(pl.col("kind") == "question")
    shares = _shares(settings)
    times = (asked if len(asked) else events)["time"].drop_nulls().to_list()
    if not times:
        return []
    cut = splits.cut(times, shares.time_quantile)
    births = dict(events.filter(pl.col("code") == "MEDS_BIRTH").select("subject_id", "time").iter_rows())
    learners = [s for s in births if splits.of_patient(s, shares) == splits.TRAIN]
    with encoder(settings) as encode:
        early = asked.filter(pl.col("subject_id").is_in(learners) & (pl.col("time") < cut))
        found = days.records(events, days.Topics(early["text_value"].drop_nulls().to_list(), encode))
    start = {r.subject_id: float((cut - births[r.subject_id]).days) for r in found}
    train = [days.before(r, start[r.subject_id]) for r in found if r.subject_id in set(learners)]
    test = [(r, start[r.subject_id]) for r in found if splits.of_patient(r.subject_id, shares) == splits.TEST]
    return prediction.rows([r for r in train if r.days], test, page.folder(settings), seeds)


def _peers(settings: Settings, now: datetime) -> list[Row]:
    """Row 4: donors are training patients, the women asked about are the others."""
    shares = _shares(settings)
    known = days.events(settings, now)["subject_id"].unique().sort().to_list()
    donors = [s for s in known if splits.of_patient(s, shares) == splits.TRAIN]
    women = [s for s in known if s not in set(donors)]
    return peers.rows(settings, donors, women, now) if donors and women else []


def _replies(settings: Settings, options: Options) -> list[Row]:
    """Rows 1, 5–9, 11 and 13: everything that is scored under the embedded language model."""
    episodes = episode_file.read(settings)
    if not episodes:
        return []
    price = load_params(settings)["train"]["token_price"]
    started = time.monotonic()
    with rewards.opened(settings, price) as reward, encoder(settings) as encode:
        measured = contenders.measured_gains(settings, episodes, reward, QUICK_GAINS if options.quick else None)
        compared = contenders.contenders(settings, encode, measured)
        chosen = _affordable(episodes, options, len(compared) + 2)
        found, held_out = replies.rows(chosen, compared, measured, reward, encode, splits.TEST)
        found += replies.slices(held_out, splits.TEST, slicing.SLICES)
        if options.external is not None:
            count = token_counter(settings.embedded_llm)
            most = QUICK_EPISODES if options.quick else None
            found += external.rows(options.external, compared, reward, encode, count, most)
        found += _cost(reward.asked, time.monotonic() - started)
    page.gains(settings, measured, held_out)
    return found


def _affordable(episodes: Sequence[Episode], options: Options, each: int) -> list[Episode]:
    """Held-out episodes that the budget pays for, in an order that has nothing to do with them."""
    ordered = sorted((e for e in episodes if e.split == splits.TEST), key=lambda e: splits.shuffled(e.episode_id))
    most = QUICK_EPISODES if options.quick else len(ordered)
    return ordered[: most if options.budget is None else min(most, options.budget // each)]


def _cost(asked: int, seconds: float) -> list[Row]:
    """Row 13: what this evaluation cost (cached rewards are counted as asked, and cost no time)."""
    memory = psutil.Process().memory_info().rss / 2**20
    figures = {"reward_evaluations": float(asked), "seconds": seconds, "resident_mebibytes": memory}
    return [
        Row.of(13, f"cost_{name}", "all", Estimate(value, float("nan"), float("nan"), 1, 0))
        for name, value in figures.items()
    ]
