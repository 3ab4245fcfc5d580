"""Measure every row of the method's table on one clinic's records and its last training.

Parts run one after the other and report when they are done. All rewards go through the clinic's score cache, so a run
that was stopped resumes and pays for no score twice. Writes ``metrics/method.jsonl`` (one row per line) and
``reports/method/`` (page and plots). Run: ``pmlm evaluate``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from models.schema import Episode
from pipelines import splits
from pipelines.determinism import deterministic_torch
from pipelines.embedding_cache import CachedEncoder, open_encoder
from pipelines.episodes import episode_file
from pipelines.evaluation.nightly.intervals import Estimate
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.study import page, scored_rows
from pipelines.evaluation.study.comparison import candidates
from pipelines.evaluation.study.comparison.bench import Bench
from pipelines.evaluation.study.comparison.budget import BudgetSpentError, meter_rewards
from pipelines.evaluation.study.rows import (
    change_detection,
    external,
    night_cost,
    peers,
    prediction,
    preferences,
    training_health,
)
from pipelines.features.trajectory import sequences
from pipelines.params import Params, load_params
from pipelines.training import rewards
from pipelines.training.gains import EpisodeGains
from pmlm.errors import TrainingError
from pmlm.settings import Settings
from pmlm.storage import atomic_write

QUICK_EPISODES = 10
QUICK_GAINS = 240
QUICK_BUDGET = 500  # new reward evaluations, which take minutes on two cores
QUICK_WARM = {"warm_epochs": 10, "warm_steps": 300}
HEADLINE_SHARE = 0.6  # of a budget, so that something is left for the other parts
EVALUATIONS_PER_EPISODE, EVALUATIONS_PER_SEED = 18, 5  # of a held-out episode, at most
ReportProgress = Callable[[str, float, int], None]
StudyPart = tuple[str, Callable[[], list[MetricRow]]]


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """Options of a run of the study.

    ``quick``: fewer episodes, one seed. ``external``: a file of episodes from elsewhere to measure on,
    ``external_train``: one to train on before. ``seeds``: of what is trained here. ``budget``: most new reward
    evaluations of the run.
    """

    quick: bool = False
    external: Path | None = None
    seeds: int = 3
    budget: int | None = None
    external_train: Path | None = None

    @property
    def limit(self) -> int | None:
        return QUICK_BUDGET if self.quick and self.budget is None else self.budget


def evaluate_clinic(
    settings: Settings, options: StudyOptions, report: ReportProgress = lambda *_: None
) -> list[MetricRow]:
    """Write and return all rows; :class:`TrainingError` where no night has finished yet."""
    if not settings.events.exists() and not settings.episodes.exists():
        raise TrainingError("nothing to evaluate: run `pmlm night` first")
    for path in filter(None, (options.external, options.external_train)):
        external.read_episodes(path, len)  # so that a bad line ends the run before hours of work
    rows: list[MetricRow] = []
    with deterministic_torch():
        for name, part in _list_unscored_parts(settings, options):
            rows += _run_part(name, part, report)
        rows += _run_scored_parts(settings, options, report)
    rows += training_health.build_rows(settings)
    rows.sort(key=lambda r: r.row)
    with atomic_write(settings.metrics / "method.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(row.json()) + "\n" for row in rows))
    page.write_page(settings, rows)
    return rows


def _run_part(name: str, part: Callable[[], list[MetricRow]], report: ReportProgress) -> list[MetricRow]:
    started = time.monotonic()
    rows = part()
    report(name, time.monotonic() - started, len(rows))
    return rows


def _list_unscored_parts(settings: Settings, options: StudyOptions) -> Iterator[StudyPart]:
    """Yield the parts that need no language model."""
    now, seeds = settings.now(), 1 if options.quick else options.seeds
    yield "changes", lambda: change_detection.build_rows(seeds)
    yield "preferences", lambda: preferences.build_rows(seeds)
    yield "predictions", lambda: _prediction_rows(settings, now, seeds)
    yield "peers", lambda: _peer_rows(settings, now)
    yield "night cost", lambda: night_cost.build_rows(settings, options.quick)


def _split_params(settings: Settings) -> splits.SplitParams:
    return load_params(settings).episodes.split


def _prediction_rows(settings: Settings, now: datetime, seeds: int) -> list[MetricRow]:
    """Row 2: train on training patients before the time cut, measure on test patients after."""
    shares = _split_params(settings)
    with open_encoder(settings) as encode:
        read = sequences.select_training_records(sequences.read_events(settings, now), shares, encode)
    if read is None:
        return []
    test = [
        (r, read.start[r.subject_id])
        for r in read.everybody
        if splits.assign_patient(r.subject_id, shares) == splits.TEST
    ]
    epochs = load_params(settings).trajectory.epochs  # the night's
    return prediction.build_rows(read.train, test, page.page_folder(settings), seeds, epochs)


def _peer_rows(settings: Settings, now: datetime) -> list[MetricRow]:
    """Row 4: donors are training patients, forecasts are for the others."""
    shares = _split_params(settings)
    known = sequences.read_events(settings, now)["subject_id"].unique().sort().to_list()
    donors = [s for s in known if splits.assign_patient(s, shares) == splits.TRAIN]
    others = [s for s in known if s not in set(donors)]
    return peers.build_rows(settings, donors, others, now) if donors and others else []


def _run_scored_parts(settings: Settings, options: StudyOptions, report: ReportProgress) -> list[MetricRow]:
    """Rows 1, 5–11, 13: run the parts that a language model scores, headline first.

    A part for which the budget is too small makes no row; ``cost_parts_left_out`` counts these.
    """
    episodes = episode_file.read_episodes(settings)
    if not episodes:
        return []
    params = load_params(settings)
    if options.quick:
        params = params.model_copy(update={"train": params.train.model_copy(update=QUICK_WARM)})
    rows: list[MetricRow] = []
    left_out = 0
    started = time.monotonic()
    with rewards.open_rewards(settings, params.train.token_price) as reward, open_encoder(settings) as encode:
        meter = meter_rewards(reward, options.limit)
        gains = candidates.measure_affordable_gains(settings, episodes, reward, QUICK_GAINS if options.quick else None)
        bench = _choose_episodes(settings, options, params, episodes, gains, reward, encode)
        for name, part in scored_rows.list_parts(bench, options.seeds, options.external, options.external_train):
            if options.limit is not None:
                meter.limit = int(options.limit * HEADLINE_SHARE) if name == scored_rows.HEADLINE else options.limit
            try:
                rows += _run_part(name, part, report)
            except BudgetSpentError:
                left_out += 1
                report(f"{name} (no budget)", 0.0, 0)
        rows += _cost_rows(reward.asked, meter.spent, left_out, time.monotonic() - started)
    return rows


def _choose_episodes(
    settings: Settings,
    options: StudyOptions,
    params: Params,
    episodes: Sequence[Episode],
    gains: Sequence[EpisodeGains],
    reward: rewards.Rewards,
    encode: CachedEncoder,
) -> Bench:
    """Choose all episodes, or as many held-out ones as half the budget pays for."""
    each = EVALUATIONS_PER_EPISODE + EVALUATIONS_PER_SEED * (1 if options.quick else options.seeds)
    most = QUICK_EPISODES if options.quick else None
    if options.budget is not None:
        affordable = max(1, options.budget // 2 // each)
        most = affordable if most is None else min(most, affordable)
    of = {split: [e for e in episodes if e.split == split] for split in (splits.TRAIN, splits.GATE, splits.TEST)}
    # cut in a random order, by hash
    gate, test = (
        sorted(of[s], key=lambda e: splits.hash_order(e.episode_id))[:most] for s in (splits.GATE, splits.TEST)
    )
    return Bench(settings, params, reward, encode, of[splits.TRAIN], gate, test, gains, options.quick)


def _cost_rows(asked: int, new: int, left_out: int, seconds: float) -> list[MetricRow]:
    """Row 13: the study's own cost: rewards asked for, new ones among them, seconds, memory."""
    memory = psutil.Process().memory_info().rss / 2**20
    figures = {
        "reward_evaluations": float(asked),
        "new_reward_evaluations": float(new),
        "parts_left_out": float(left_out),
        "seconds": seconds,
        "resident_mebibytes": memory,
    }
    return [
        MetricRow.of(13, f"cost_{name}", "all", Estimate(value, float("nan"), float("nan"), 1, 0))
        for name, value in figures.items()
    ]
