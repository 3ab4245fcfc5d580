"""Drift of rewards: held-out rewards of the prompts of a rule, and patients' ratings.

The rule takes the facts nearest to the question, within the caps. No night's learning changes it, as it does the
initial ranking, so drift here comes from questions, replies or records. The embedded model scores what the clinic's
score cache lacks, and evaluations read it there; under another scorer, which costs a server's time, there is no such
reward.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from models.schema import Episode
from models.vocabulary import RATING_CODE
from pipelines import splits
from pipelines.episodes import episode_file
from pipelines.monitoring.families.drift_table import PATIENT, SAMPLE, DriftTable
from pipelines.monitoring.families.prompts import find_episode_file
from pipelines.monitoring.families.records import list_event_files
from pipelines.night_dates import end_of_night
from pipelines.params import load_params
from pmlm.settings import Settings

#: Questions scored as one batch, and cached together.
UNIT = 32


def build_held_out(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row per patient with a held-out question: reward of the nearest facts' prompt, nats."""
    if settings.scorer != "embedded" or not find_episode_file(settings, night):
        return pl.DataFrame()
    asked = [
        episode
        for episode in episode_file.read_episodes(settings)
        if episode.split in (splits.GATE, splits.TEST) and since < episode.as_of <= end_of_night(night)
    ]
    one_each = {e.subject_id: e for e in sorted(asked, key=lambda e: e.episode_id, reverse=True)}
    chosen = list(one_each.values())[:SAMPLE]
    values = pl.Series(compute_rewards(settings, chosen), dtype=pl.Float64)
    return pl.DataFrame({PATIENT: [e.subject_id for e in chosen], "reward of the nearest facts": values})


def compute_rewards(settings: Settings, episodes: list[Episode]) -> list[float]:
    """Compute each episode's reward of the nearest facts' prompt."""
    if not episodes:
        return []
    # these load torch, which costs more than all the rest of the stage: only where there is something to read
    from models.refiner.baselines import NearestRefiner
    from pipelines.determinism import deterministic_torch
    from pipelines.embedding_cache import open_encoder
    from pipelines.training.rewards import open_rewards

    params = load_params(settings)
    with (
        deterministic_torch(),
        open_rewards(settings, params.train.token_price) as opened,
        open_encoder(settings) as encoder,
    ):
        nearest = NearestRefiner(params.caps, encoder)
        cases = [(episode, nearest.refine(episode.question, episode.segments)) for episode in episodes]
        units = [cases[at : at + UNIT] for at in range(0, len(cases), UNIT)]
        return [outcome.reward for unit in units for outcome in opened.outcomes(unit)]


def build_ratings(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row per rating, 1 to 5."""
    files = list_event_files(settings, night)
    if not files:
        return pl.DataFrame()
    given = pl.scan_parquet(files).filter((pl.col("code") == RATING_CODE) & (pl.col("known_at") > since))
    return (
        given.sort("record", "known_at").head(SAMPLE).select(PATIENT, pl.col("numeric_value").alias("rating")).collect()
    )


TABLES = (
    DriftTable("held_out", "patients with a held-out question", find_episode_file, build_held_out, grows=True),
    DriftTable("ratings", "ratings", list_event_files, build_ratings),
)
