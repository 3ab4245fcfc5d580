"""Drift of rewards: held-out rewards of the prompts of a rule, and patients' ratings.

The rule takes the facts nearest to the question, within the caps. Every evaluation scores it and no night's learning
changes it, as it does the initial ranking, so drift here comes from questions, replies or records. Scores come from the
clinic's score cache alone; an episode that no evaluation has scored has no reward, and no language model is loaded.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl

from models.reward.terms import reward
from models.schema import Episode
from models.vocabulary import RATING_CODE
from pipelines import splits
from pipelines.episodes import episode_file
from pipelines.monitoring.families.drift_table import SAMPLE, DriftTable
from pipelines.monitoring.families.records import list_event_files
from pipelines.night_dates import end_of_night
from pipelines.params import load_params
from pmlm.settings import Settings


def find_evaluation_run(settings: Settings, night: str) -> list[Path]:
    """Find the first evaluation at or after the night, from which its scores are fixed."""
    return sorted(p for p in settings.runs.glob("*/evaluate.json") if p.parent.name >= night)[:1]


def build_held_out(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row per patient with a held-out question: reward of the nearest facts' prompt, nats."""
    if not find_evaluation_run(settings, night):
        return pl.DataFrame()
    asked = [
        episode
        for episode in episode_file.read_episodes(settings)
        if episode.split in (splits.GATE, splits.TEST) and since < episode.as_of <= end_of_night(night)
    ]
    one_each = {e.subject_id: e for e in sorted(asked, key=lambda e: e.episode_id, reverse=True)}
    values = _read_cached_rewards(settings, list(one_each.values())[:SAMPLE])
    return pl.DataFrame({"reward of the nearest facts": pl.Series(values, dtype=pl.Float64)})


def _read_cached_rewards(settings: Settings, episodes: list[Episode]) -> list[float]:
    """Read the rewards of those episodes whose scores are cached."""
    if not episodes:
        return []
    # these load torch, which costs more than all the rest of the stage: only where there is something to read
    from models.refiner.baselines import NearestRefiner
    from models.reward.embedded_scorer import EmbeddedScorer
    from models.reward.score_cache import ScoreCache, hash_trial
    from pipelines.embedding_cache import open_encoder
    from pipelines.training.rewards import build_trial, cache_path

    params = load_params(settings)
    cache = ScoreCache(cache_path(settings), layers=[settings.drops / "scores.parquet"])
    scorer_id = EmbeddedScorer(settings.embedded_llm).id
    found = []
    with open_encoder(settings) as encoder:
        nearest = NearestRefiner(params.caps, encoder)
        programs = [nearest.refine(episode.question, episode.segments) for episode in episodes]
    for episode, program in zip(episodes, programs, strict=True):
        scores = cache.get(hash_trial(scorer_id, build_trial(episode, program)))
        if scores is not None:
            tokens = sum(s.tokens for s in episode.free if s.key in program.picks)
            found.append(reward(scores.score(episode.specific), tokens, params.train.token_price))
    return found


def build_ratings(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row per rating, 1 to 5."""
    files = list_event_files(settings, night)
    if not files:
        return pl.DataFrame()
    given = pl.scan_parquet(files).filter((pl.col("code") == RATING_CODE) & (pl.col("known_at") > since))
    return given.sort("record", "known_at").head(SAMPLE).select(pl.col("numeric_value").alias("rating")).collect()


TABLES = (
    DriftTable("held_out", "patients with a held-out question", find_evaluation_run, build_held_out),
    DriftTable("ratings", "ratings", list_event_files, build_ratings),
)
