"""The reward of an edit program on an episode: render, score the clinician's reply, price the length.

One call scores its missing trials as one batch and keeps them together, so a run that was killed scores the same
batches again, and gets the same bits. Callers ask for one unit of work at a time (an episode, a GRPO step).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from models.prompt.personalize import apply_program
from models.prompt.ranking import render_opening
from models.reward.request_pool import ScorerError
from models.reward.score_cache import SCHEMA, CachedScorer, ScoreCache
from models.reward.terms import Score, Scorer, Trial, reward_with_floor, score_trials
from models.schema import EditProgram, Episode
from models.templates import sanitize_line
from pipelines.training import scorer_choice
from pmlm.errors import TrainingError
from pmlm.settings import Settings
from pmlm.storage import atomic_write

SHIPPED = "scores.parquet"  # in a clinic's folder: scores that need not be paid for again
LARGEST_UNIT = 128  # trials; what one call may ask for, so that it is kept whole or not at all


@dataclass(frozen=True, slots=True)
class ProgramOutcome:
    """What one program came to: the reply's likelihood, free tokens, and the whole reward (nats)."""

    score: Score
    tokens: int
    reward: float


class Rewards:
    """Outcomes of programs on episodes under one scorer and one token price."""

    def __init__(self, scorer: Scorer, price: float) -> None:
        self.scorer = scorer
        self.price = price
        self.asked = 0

    def outcomes(self, cases: Sequence[tuple[Episode, EditProgram]]) -> list[ProgramOutcome]:
        """One outcome a case, in order; at most ``LARGEST_UNIT`` cases a call."""
        if len(cases) > LARGEST_UNIT:
            raise ValueError(f"{len(cases)} cases in one unit of work; at most {LARGEST_UNIT}")
        trials = [build_trial(episode, program) for episode, program in cases]
        return [
            self._outcome(episode, program, t, s)
            for (episode, program), t, s in zip(cases, trials, self.scores(trials), strict=True)
        ]

    def scores(self, trials: Sequence[Trial]) -> list[Score]:
        """Scores of trials made elsewhere; counted, like all others, whether cached or not."""
        self.asked += len(trials)
        return score_trials(self.scorer, trials)

    def _outcome(self, episode: Episode, program: EditProgram, tried: Trial, found: Score) -> ProgramOutcome:
        tokens = sum(s.tokens for s in episode.free if s.key in program.picks)
        safe = all(sanitize_line(s.text) in tried.prompt for s in episode.pinned)
        return ProgramOutcome(found, tokens, reward_with_floor(found, tokens, self.price, safe))


def build_trial(episode: Episode, program: EditProgram, reply_of: Episode | None = None) -> Trial:
    """The refined prompt of a program, tried on the episode's own reply or on another episode's."""
    source = reply_of or episode
    prompt, _ = apply_program(episode.segments, program)
    return Trial(prompt, episode.question, source.reply, source.specific, render_opening(episode.segments))


@contextmanager
def open_rewards(settings: Settings, price: float) -> Iterator[Rewards]:
    """Rewards under the scorer that is set: the clinic's own score cache over the one its sample may ship with.

    A server that gives no usable answer is a TrainingError; what it had scored is kept, so a rerun goes on there.
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
    """Write every score this clinic knows, shipped or its own, sorted by key; how many there are."""
    files = [f for f in (cache_path(settings), settings.drops / SHIPPED) if f.exists()]
    if not files:
        raise TrainingError("no scores yet: run `pmlm train`")
    known = pl.concat([pl.read_parquet(f) for f in files]).unique("key", keep="first").sort("key")
    with atomic_write(target) as temporary:
        pq.write_table(known.to_arrow().cast(SCHEMA), temporary, compression="zstd", compression_level=19)
    return len(known)
