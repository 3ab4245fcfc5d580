"""Measure the method's table, or some rows, on a clinic's last training.

Parts run one after the other; each finished part is stored (``finished_parts``) and not measured again with equal
inputs, and all rewards go through the clinic's score cache, so a run that was stopped goes on where it was. Writes
``metrics/method.jsonl`` (every row that is known for these inputs) and ``reports/method/`` (page and plots).

Run: ``pmlm evaluate``, ``pmlm evaluate --rows 6,external --external FILE``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psutil

from models.schema import Episode
from pipelines import splits
from pipelines.determinism import deterministic_torch
from pipelines.embedding_cache import open_encoder
from pipelines.episodes import episode_file
from pipelines.evaluation.nightly.intervals import Estimate
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.study import page, scored_parts, unscored_parts
from pipelines.evaluation.study.comparison import candidates
from pipelines.evaluation.study.comparison.bench import Bench
from pipelines.evaluation.study.comparison.budget import BudgetMeter, BudgetSpentError, meter_rewards
from pipelines.evaluation.study.finished_parts import FinishedParts
from pipelines.evaluation.study.rows.unseen import external
from pipelines.evaluation.study.selection import StudyPart, select_parts
from pipelines.params import load_params
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


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """Options of a run of the study.

    ``quick``: fewer episodes, one seed. ``external``: a file of episodes from elsewhere to measure on,
    ``external_train``: one to train on before. ``seeds``: of what is trained here. ``budget``: most new reward
    evaluations of the run. ``rows``: measure these alone (numbers, parts, names of rows); all where empty.
    """

    quick: bool = False
    external: Path | None = None
    seeds: int = 3
    budget: int | None = None
    external_train: Path | None = None
    rows: tuple[str, ...] = ()

    @property
    def limit(self) -> int | None:
        return QUICK_BUDGET if self.quick and self.budget is None else self.budget

    @property
    def files(self) -> list[Path]:
        return [path for path in (self.external, self.external_train) if path is not None]


@dataclass
class Study:
    """One run on one clinic; its first scored part opens what they share."""

    settings: Settings
    options: StudyOptions
    opened: ExitStack = field(default_factory=ExitStack)
    meter: BudgetMeter | None = None
    left_out: int = 0

    @cached_property
    def episodes(self) -> list[Episode]:
        return episode_file.read_episodes(self.settings)

    @cached_property
    def bench(self) -> Bench:
        """Open rewards, encoder and the episodes that half the budget pays for."""
        params, options = load_params(self.settings), self.options
        if options.quick:
            params = params.model_copy(update={"train": params.train.model_copy(update=QUICK_WARM)})
        reward = self.opened.enter_context(rewards.open_rewards(self.settings, params.train.token_price))
        encode = self.opened.enter_context(open_encoder(self.settings))
        self.meter = meter_rewards(reward, options.limit)
        train = [e for e in self.episodes if e.split == splits.TRAIN]
        most = _most_episodes(options)
        gate, test = (_cut([e for e in self.episodes if e.split == s], most) for s in (splits.GATE, splits.TEST))

        def measure() -> list[EpisodeGains]:
            budget = QUICK_GAINS if options.quick else None
            return candidates.measure_affordable_gains(self.settings, self.episodes, reward, budget)

        return Bench(self.settings, params, reward, encode, train, gate, test, measure, options.quick)

    def list_parts(self) -> list[StudyPart]:
        """List all parts; those that a language model scores only where there are episodes."""
        options = self.options
        seeds = 1 if options.quick else options.seeds
        parts = unscored_parts.list_parts(self.settings, seeds, options.quick)
        if self.episodes:
            parts += scored_parts.list_parts(
                lambda: self.bench, options.seeds, options.external, options.external_train
            )
        return parts

    def build(self, part: StudyPart) -> list[MetricRow] | None:
        """Build one part's rows; None where the budget does not pay for it."""
        limit = self.options.limit
        if part.is_scored and self.bench and self.meter is not None and limit is not None:
            self.meter.limit = int(limit * HEADLINE_SHARE) if part.name == scored_parts.HEADLINE else limit
        try:
            return part.build()
        except BudgetSpentError:
            self.left_out += 1
            return None


def evaluate_clinic(
    settings: Settings, options: StudyOptions, report: ReportProgress = lambda *_: None
) -> list[MetricRow]:
    """Write all rows known, and return those asked for.

    :class:`TrainingError` where no night has finished yet.
    """
    if not settings.events.exists() and not settings.episodes.exists():
        raise TrainingError("nothing to evaluate: run `pmlm night` first")
    for path in options.files:
        external.read_episodes(path, len)  # so that a bad line ends the run before hours of work
    with ExitStack() as opened:
        study = Study(settings, options, opened)
        parts = study.list_parts()
        chosen = select_parts(parts, options.rows)
        shown = [options.quick, options.seeds, options.limit]  # files count for the parts that read them
        finished = FinishedParts(settings, {"options": shown}, options.files)
        opened.enter_context(deterministic_torch())
        made = {part.name: rows for part in parts if (rows := finished.load(part)) is not None}
        asked = list(_run_parts(study, chosen, made, finished, report))
        everything = [row for part in parts for row in made.get(part.name, [])]
        cost = _cost_rows(study, asked)
    _write_rows(settings, [*everything, *cost])
    rows = [row for part in chosen for row in made.get(part.name, []) if _is_asked(part, row, options.rows)]
    return sorted([*rows, *(cost if not options.rows else [])], key=lambda r: r.row)


def _run_parts(
    study: Study,
    chosen: Sequence[StudyPart],
    made: dict[str, list[MetricRow]],
    finished: FinishedParts,
    report: ReportProgress,
) -> Iterator[float]:
    """Build the chosen parts that are missing from ``made``; yield their seconds."""
    for part in chosen:
        if part.name in made:
            report(f"{part.name} (finished before)", 0.0, len(made[part.name]))
            continue
        started = time.monotonic()
        rows = study.build(part)
        seconds = time.monotonic() - started
        yield seconds
        report(part.name if rows is not None else f"{part.name} (no budget)", seconds, len(rows or []))
        if rows is not None:
            made[part.name] = rows
            if study.meter is None or not study.meter.refused:  # what the budget cut short is measured again
                finished.store(part, rows)


def _is_asked(part: StudyPart, row: MetricRow, wanted: Sequence[str]) -> bool:
    return not wanted or part.keeps(row, wanted)


def _write_rows(settings: Settings, rows: Sequence[MetricRow]) -> None:
    """Write the rows by number as JSON Lines, and the page."""
    ordered = sorted(rows, key=lambda r: r.row)
    with atomic_write(settings.metrics / "method.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(row.json()) + "\n" for row in ordered))
    page.write_page(settings, ordered)


def _most_episodes(options: StudyOptions) -> int | None:
    """How many held-out episodes of a split half the budget pays for; None for all."""
    each = EVALUATIONS_PER_EPISODE + EVALUATIONS_PER_SEED * (1 if options.quick else options.seeds)
    most = QUICK_EPISODES if options.quick else None
    if options.budget is not None:
        affordable = max(1, options.budget // 2 // each)
        most = affordable if most is None else min(most, affordable)
    return most


def _cut(episodes: Sequence[Episode], most: int | None) -> list[Episode]:
    """Cut in a random order, by hash."""
    return sorted(episodes, key=lambda e: splits.hash_order(e.episode_id))[:most]


def _cost_rows(study: Study, seconds: Sequence[float]) -> list[MetricRow]:
    """Row 13: this run's own cost: rewards asked for, new ones among them, seconds, memory."""
    asked = study.bench.reward.asked if study.meter is not None else 0
    figures = {
        "reward_evaluations": float(asked),
        "new_reward_evaluations": float(study.meter.spent if study.meter is not None else 0),
        "parts_left_out": float(study.left_out),
        "seconds": sum(seconds),
        "resident_mebibytes": psutil.Process().memory_info().rss / 2**20,
    }
    return [
        MetricRow.of(13, f"cost_{name}", "all", Estimate(value, float("nan"), float("nan"), 1, 0))
        for name, value in figures.items()
    ]
