"""List the parts of the table that a language model scores, the headline first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from models.llm import make_token_counter
from models.refiner.inference import PolicyRefiner
from models.refiner.interface import Refiner
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.study import page
from pipelines.evaluation.study.comparison import candidates, fusion, seeds, slices
from pipelines.evaluation.study.comparison.bench import Bench
from pipelines.evaluation.study.comparison.budget import BudgetSpentError
from pipelines.evaluation.study.comparison.candidates import REFINED
from pipelines.evaluation.study.rows import attacks, external, external_finetune, generalization, ratings, replies
from pipelines.splits import TEST
from pipelines.training.gains import EpisodeGains

HEADLINE = "replies"
QUICK_EXTERNAL = 4  # external episodes


def list_parts(
    bench: Bench, seed_count: int, others: Path | None, others_train: Path | None
) -> Iterator[tuple[str, Callable[[], list[MetricRow]]]]:
    """Yield each part's name and how to build its rows, the most important first."""
    compared: dict[str, Refiner] = {}
    yield HEADLINE, lambda: _headline_rows(bench, seed_count, compared)
    yield "new topics", lambda: generalization.build_topic_rows(bench)
    yield "new wordings", lambda: generalization.build_wording_rows(bench)
    yield "ratings", lambda: ratings.build_rows(bench)
    count = make_token_counter(bench.settings.embedded_llm) if others else len
    most = QUICK_EXTERNAL if bench.quick else None
    if others is not None:
        yield "external", lambda: external.build_rows(others, compared, bench.reward, bench.encode, count, most)
    if others is not None and others_train is not None:
        yield "external, trained", lambda: external_finetune.build_rows(bench, others_train, others, count, most)
    yield "new kinds", lambda: generalization.build_kind_rows(bench)


def _headline_rows(bench: Bench, seed_count: int, compared: dict[str, Refiner]) -> list[MetricRow]:
    """Rows 1, 5–8, 11 over all seeds, and slices; fills ``compared`` with the refiners."""
    labelled = bench.label(bench.gains, bench.train)
    compared |= candidates.load_candidates(bench.settings, bench.encode, labelled)
    refined = compared.get(REFINED)
    more: list[Callable[[], dict[str, Refiner]]] = []
    if isinstance(refined, PolicyRefiner):
        with suppress(BudgetSpentError):
            compared["refined+cosine"] = fusion.choose_fused(bench, refined)
        if "warm_start" not in compared and bench.gains:  # a night that went on from its champion made none
            compared["warm_start"] = _train_seed(bench, labelled, 0)["warm_start"]
        if not bench.quick:
            with suppress(BudgetSpentError):
                everything = (bench.train, bench.gains, bench.encode, bench.reward)
                compared.update(
                    candidates.train_candidates(bench.settings, bench.params, compared.get("warm_start"), *everything)
                )
        numbers = range(1, 1 if bench.quick or not bench.gains else seed_count)
        more = [partial(_train_seed, bench, labelled, number) for number in numbers]
    rows, rollouts = replies.build_rows(bench.test, compared, bench.gains, bench.reward, bench.encode, TEST, more)
    rows += replies.build_slice_rows(rollouts, TEST, slices.SLICES)
    rows += attacks.build_rows(rollouts, TEST)
    page.save_gains(bench.settings, bench.gains, rollouts)
    return rows


def _train_seed(bench: Bench, labelled: Sequence[EpisodeGains], number: int) -> dict[str, Refiner]:
    arguments = (labelled, bench.train, bench.params, bench.reward, bench.encode)
    return seeds.train_seed(bench.settings, number, *arguments)
