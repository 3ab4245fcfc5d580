"""Compute rewards of edit programs on episodes: render, score the reply, price the length.

One call scores its missing trials as one batch and caches them together, so a killed run scores the same batches again
and gets the same bits. Callers pass one unit of work at a time (an episode, a GRPO step).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from models.prompt.personalize import apply_program
from models.prompt.rendering import render_opening
from models.reward.request_pool import ScorerError
from models.reward.score_cache import SCHEMA, CachedScorer, ScoreCache
from models.reward.terms import Score, Scorer, SentenceScores, Trial, reward_with_floor
from models.schema import EditProgram, Episode
from models.templates import sanitize_line
from pipelines.training import scorer_choice
from pmlm.errors import TrainingError
from pmlm.settings import Settings
from pmlm.storage import atomic_write

SHIPPED = "scores.parquet"  # in a clinic's folder: scores that ship with it
LARGEST_UNIT = 128  # trials per call, so that they are cached together or not at all


@dataclass(frozen=True, slots=True)
class ProgramOutcome:
    """One program's outcome: reply likelihood, free tokens, reward (nats), and the scores of each reply sentence."""

    score: Score
    tokens: int
    reward: float
    sentences: SentenceScores | None = None


class Rewards:
    """Computes program outcomes under one scorer and one token price; ``asked`` counts them."""

    def __init__(self, scorer: Scorer, price: float) -> None:
        self.scorer = scorer
        self.price = price
        self.asked = 0

    def outcomes(self, cases: Sequence[tuple[Episode, EditProgram]]) -> list[ProgramOutcome]:
        """Compute one outcome per case, in order; at most ``LARGEST_UNIT`` cases."""
        if len(cases) > LARGEST_UNIT:
            raise ValueError(f"{len(cases)} cases in one unit of work; at most {LARGEST_UNIT}")
        trials = [build_trial(episode, program) for episode, program in cases]
        return [
            self._outcome(episode, program, t, s)
            for (episode, program), t, s in zip(cases, trials, self.score_sentences(trials), strict=True)
        ]

    def scores(self, trials: Sequence[Trial]) -> list[Score]:
        """Score trials; count them, cached or not."""
        return [s.score(t.specific) for s, t in zip(self.score_sentences(trials), trials, strict=True)]

    def score_sentences(self, trials: Sequence[Trial]) -> list[SentenceScores]:
        """Score each reply sentence of trials; count the trials, cached or not."""
        self.asked += len(trials)
        return self.scorer.score_sentences(trials)

    def _outcome(self, episode: Episode, program: EditProgram, tried: Trial, found: SentenceScores) -> ProgramOutcome:
        tokens = sum(s.tokens for s in episode.free if s.key in program.picks)
        safe = all(sanitize_line(s.text) in tried.prompt for s in episode.pinned)
        score = found.score(tried.specific)
        return ProgramOutcome(score, tokens, reward_with_floor(score, tokens, self.price, safe), found)


def build_trial(episode: Episode, program: EditProgram, reply_of: Episode | None = None) -> Trial:
    """Build the trial of a program on the episode's own reply, or on another episode's."""
    source = reply_of or episode
    prompt, _ = apply_program(episode.segments, program)
    return Trial(prompt, episode.question, source.reply, source.specific, render_opening(episode.segments))


@contextmanager
def open_rewards(settings: Settings, price: float) -> Iterator[Rewards]:
    """Open the configured scorer over the clinic's score cache and the shipped one.

    TrainingError where a server gives no usable answer; finished scores are cached, so a rerun continues there.
    """
    cache = ScoreCache(cache_path(settings), layers=[settings.drops / SHIPPED])
    with scorer_choice.open_scorer(settings) as (scorer, calibrated):
        try:
            yield Rewards(calibrated(CachedScorer(scorer, cache, save_every=LARGEST_UNIT)), price)
        except ScorerError as error:
            raise TrainingError(f"the scorer gave no answer: {error}") from error
        finally:
            cache.flush()


def cache_path(settings: Settings) -> Path:
    return settings.workspace / "cache" / "scores.parquet"


def export_scores(settings: Settings, target: Path) -> int:
    """Write all scores, shipped and own, sorted by key; return their number."""
    files = [f for f in (cache_path(settings), settings.drops / SHIPPED) if f.exists()]
    if not files:
        raise TrainingError("no scores yet: run `pmlm train`")
    tables = [pl.from_arrow(pq.read_table(f, schema=SCHEMA)) for f in files]  # the schema fills what older files lack
    known = pl.concat(map(pl.DataFrame, tables)).unique("key", keep="first").sort("key")
    with atomic_write(target) as temporary:
        pq.write_table(known.to_arrow().cast(SCHEMA), temporary, compression="zstd", compression_level=19)
    return len(known)
