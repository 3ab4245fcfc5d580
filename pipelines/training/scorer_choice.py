"""Build the scorer that ``PMLM_SCORER`` names: embedded model, log-probability server or judge.

A scorer's id includes its model, so the score cache never mixes two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import torch

from models.llm import LLM, EmbeddedLLM, OpenAICompatible
from models.reward.embedded_scorer import EmbeddedScorer
from models.reward.judge import CalibratedScorer, Calibration, CalibrationError, Judge, JudgeScorer
from models.reward.server_scorer import CHATML, ScoringServer, ServerKind, ServerScorer
from models.reward.terms import Scorer, SentenceScores, Trial
from pmlm.errors import SettingsError
from pmlm.settings import Settings

#: Wraps the cached scorer: unchanged, or in a judge's calibration (which may change while grades do not).
CacheView = Callable[[Scorer], Scorer]


class TwoThreadScorer:
    """Scores each half of a unit in its own thread, with one model.

    Each uses one torch thread: two threads inside one product would wait for each other at every step. Halves are split
    by position, so scores do not depend on the number of cores.
    """

    def __init__(self, first: EmbeddedScorer, second: EmbeddedScorer, pool: ThreadPoolExecutor) -> None:
        self.id = first.id
        self.first = first
        self.second = second
        self.pool = pool

    def score_sentences(self, trials: Sequence[Trial]) -> list[SentenceScores]:
        half = -(-len(trials) // 2)
        parts = ((self.first, trials[:half]), (self.second, trials[half:]))
        done = [self.pool.submit(scorer.score_sentences, part) for scorer, part in parts if part]
        return [scores for part in done for scores in part.result()]


@contextmanager
def open_scorer(settings: Settings) -> Iterator[tuple[Scorer, CacheView]]:
    """Open the configured scorer and its cache view; SettingsError on a missing setting."""
    if settings.scorer == "embedded":
        with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            first, second = EmbeddedScorer(settings.embedded_llm), EmbeddedScorer(settings.embedded_llm)
            yield TwoThreadScorer(first, second, pool), _pass_through
    elif settings.scorer == "judge":
        grader = build_judge(settings)
        calibration = load_calibration(settings, grader)
        answering = JudgeScorer(build_llm(settings), grader, settings.scorer_concurrency)
        yield answering, lambda cached: CalibratedScorer(cached, calibration)
    else:
        with closing(build_server_scorer(settings, settings.scorer)) as scorer:
            yield scorer, _pass_through


def build_server_scorer(settings: Settings, kind: ServerKind) -> ServerScorer:
    """Build the scorer of the configured server."""
    _require_settings(settings, "scorer_base_url", "scorer_model")
    return ServerScorer(
        kind,
        ScoringServer(
            str(settings.scorer_base_url),
            str(settings.scorer_model),
            settings.scorer_api_key,
            settings.scorer_timeout_s,
            settings.scorer_concurrency,
        ),
        settings.scorer_template.read_text() if settings.scorer_template else CHATML,
    )


def build_judge(settings: Settings) -> Judge:
    """Build the configured judge."""
    _require_settings(settings, "judge_base_url", "judge_model")
    return Judge(
        str(settings.judge_base_url), str(settings.judge_model), settings.judge_api_key, settings.scorer_timeout_s
    )


def build_llm(settings: Settings) -> LLM:
    """Build the language model whose answers are judged: the one that answers patients."""
    if not settings.llm_base_url:
        return EmbeddedLLM(threads=1)
    return OpenAICompatible(settings.llm_base_url, settings.llm_name, settings.llm_api_key, settings.scorer_timeout_s)


def calibration_path(settings: Settings) -> Path:
    return settings.workspace / "judge" / "calibration.json"


def load_calibration(settings: Settings, grader: Judge) -> Calibration:
    """Load the judge's calibration; SettingsError if missing or another judge's."""
    try:
        return Calibration.read(calibration_path(settings), grader.id)
    except CalibrationError as error:
        raise SettingsError(f"{error}: run `pmlm calibrate GRADED.jsonl`") from error


def _pass_through(scorer: Scorer) -> Scorer:
    return scorer


def _require_settings(settings: Settings, *names: str) -> None:
    missing = [f"PMLM_{name.upper()}" for name in names if not getattr(settings, name)]
    if missing:
        raise SettingsError(f"PMLM_SCORER={settings.scorer} needs {' and '.join(missing)}")
