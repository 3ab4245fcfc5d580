"""The rows that simulated nights are drawn from: the shipped night of the sample clinic, by drift's own tables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.fortnight.shifts import OTHER_TOPIC
from models.refiner.baselines import RankingRefiner
from models.safety.triage.rules import find_red_flags
from models.vocabulary import QUESTION_CODE
from pipelines import splits
from pipelines.episodes import episode_file
from pipelines.monitoring.families import features, prompts, questions, records, rewards
from pipelines.monitoring.families.drift_table import PATIENT
from pipelines.night.finished.archive import ARCHIVE, unpack_night
from pipelines.params import load_params
from pmlm.settings import PROJECT, Settings, load_settings

EVER = datetime(1900, 1, 1, tzinfo=UTC)
QUESTIONS = 400  # described by topic and wording, each text once
CAPITALS, OTHER = "questions in capitals", "questions of another topic"


def read_pools(folder: Path) -> dict[str, pl.DataFrame]:
    """Read every table's rows, over all years, with the patient whose they are."""
    settings = load_settings(home=folder / "state", drops=PROJECT / "examples" / "clinic", key_dir=folder / "keys")
    settings.home.mkdir(parents=True, exist_ok=True)
    unpack_night(settings, ARCHIVE)
    first = min(file.name for file in settings.events.glob("*.parquet"))[:8]
    pools = {
        "patient_days": records.build_patient_days(settings, first, EVER),
        "lines": records.build_lines(settings, first, EVER),
        "own_features": features.build_own_features(settings, first, EVER),
        "peer_features": features.build_peer_features(settings, first, EVER),
        "asked": prompts.describe_candidates(pl.scan_parquet(prompts.find_episode_file(settings, first))).collect(),
        "served": _serve_episodes(settings),
        "held_out": _reward_episodes(settings),
        "ratings": rewards.build_ratings(settings, first, EVER),
    }
    return pools | _describe_questions(settings, first)


def _describe_questions(settings: Settings, night: str) -> dict[str, pl.DataFrame]:
    events = pl.read_parquet(records.list_event_files(settings, night)).filter(pl.col("code") == QUESTION_CODE)
    asked = events.select(PATIENT, "record", "text_value").drop_nulls().sort("record").head(QUESTIONS)
    texts = asked["text_value"].to_list()
    loud = [f"{text.upper()}!!! ???" for text in texts]
    described = questions.describe_questions(settings, [*texts, *loud, *OTHER_TOPIC])
    whose = asked[PATIENT]
    return {
        "questions": described[: len(texts)].with_columns(whose),
        CAPITALS: described[len(texts) : 2 * len(texts)].with_columns(whose),
        OTHER: described[2 * len(texts) :],
    }


def _serve_episodes(settings: Settings) -> pl.DataFrame:
    """What the endpoint would log of each episode's question under the initial ranking, cut to the caps."""
    ranking = RankingRefiner(load_params(settings).caps)
    rows = []
    for episode in episode_file.read_episodes(settings):
        program = ranking.refine(episode.question, episode.segments)
        free = [segment for segment in episode.segments if not segment.pinned]
        pinned = len(episode.segments) - len(free)
        entry = {
            "candidates": len(free),
            "kept": [None] * (pinned + len(program.picks)),
            "program": {"picks": list(program.picks), "style": program.style},
            "language": "en",
            "signs": find_red_flags(episode.question),
            "personalization": "full",
            "versions": {"refiner": ranking.id},
        }
        rows.append({PATIENT: episode.subject_id, **prompts.describe_served(entry)})
    return pl.DataFrame(rows)


def _reward_episodes(settings: Settings) -> pl.DataFrame:
    """The reward of the nearest facts of every held-out question."""
    held_out = [e for e in episode_file.read_episodes(settings) if e.split in (splits.GATE, splits.TEST)]
    values = rewards.compute_rewards(settings, held_out)
    return pl.DataFrame({PATIENT: [e.subject_id for e in held_out], "reward of the nearest facts": values})


def list_rows_by_patient(pool: pl.DataFrame) -> dict[int, np.ndarray]:
    """The places of each patient's rows."""
    places = pool.with_row_index("place").group_by(PATIENT).agg("place")
    return {int(patient): np.array(found) for patient, found in places.iter_rows()}
