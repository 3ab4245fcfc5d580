"""Drift of prompts: tonight's questions, their initial prompts, and prompts the endpoint served."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.monitoring.families.drift_table import PATIENT, SAMPLE, DriftTable
from pipelines.monitoring.families.questions import build_questions
from pipelines.monitoring.families.records import list_event_files
from pipelines.night_dates import end_of_night
from pmlm.settings import Settings
from pmlm.storage import read_lines

KINDS = ("record", "change", "behaviour", "preference", "peer", "prediction")


def find_episode_file(settings: Settings, night: str) -> list[Path]:
    """Find the clinic's episodes, all nights in one file."""
    path = settings.episodes / "episodes.parquet"
    return [path] if path.exists() else []


def build_asked(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row per patient who asked a clinician: segments by kind, free tokens, first segment."""
    files = find_episode_file(settings, night)
    if not files:
        return pl.DataFrame()
    episodes = pl.scan_parquet(files).filter((pl.col("as_of") > since) & (pl.col("as_of") <= end_of_night(night)))
    one_each = episodes.sort("episode_id").unique(PATIENT, keep="first", maintain_order=True)
    return describe_candidates(one_each.head(SAMPLE)).collect()


def describe_candidates(episodes: pl.LazyFrame) -> pl.LazyFrame:
    """Describe what a policy may choose from, one row per episode."""
    free = episodes.select(PATIENT, pl.col("segments").list.filter(~pl.element().struct.field("pinned")))
    kinds = pl.col("segments").list.eval(pl.element().struct.field("kind"))
    return free.select(
        PATIENT,
        pl.col("segments").list.len().alias("candidates"),
        pl.col("segments").list.eval(pl.element().struct.field("tokens")).list.sum().alias("free tokens"),
        pl.col("segments").list.first().struct.field("key").alias("ranked first"),
        *(kinds.list.count_matches(kind).alias(f"{kind} segments") for kind in KINDS),
    )


def list_interaction_files(settings: Settings, night: str) -> list[Path]:
    """List every day's log; an interaction's own clock says which night it belongs to."""
    return sorted((settings.workspace / "interactions").glob("*.jsonl"))


def build_served(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row per patient who asked the endpoint since the night before.

    The clinic's clock may stand at the end of the night before, which is when this night begins. What a refiner chose
    is compared with its own choices alone: that another champion chooses otherwise is no drift.
    """
    files = list_interaction_files(settings, night)
    entries = [entry for file in files for entry in read_lines(file, _parse_interaction)]
    rows: dict[int, dict[str, object]] = {}
    for entry in sorted(entries, key=lambda e: e["id"]):
        if since <= entry["as_of"] < end_of_night(night):
            rows.setdefault(entry["patient"], {PATIENT: entry["patient"], **describe_served(entry)})
    return pl.DataFrame(list(rows.values())[:SAMPLE], infer_schema_length=None)  # a night may have two refiners


def _parse_interaction(line: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(line)
    return entry | {"as_of": datetime.fromisoformat(entry["versions"]["as_of"])}


def describe_served(entry: dict[str, Any]) -> dict[str, object]:
    """Describe one answer by its line of the log."""
    picks, refiner = entry["program"]["picks"], entry["versions"]["refiner"]
    return {
        "candidates served": entry["candidates"],
        f"segments kept by {refiner}": len(entry["kept"]),
        f"first pick of {refiner}": picks[0] if picks else "nothing",
        f"style of {refiner}": entry["program"]["style"],
        "language": entry["language"],
        "red flag": "yes" if entry["signs"] else "no",
        "personalization": entry["personalization"],
    }


TABLES = (
    DriftTable("asked", "patients who asked", find_episode_file, build_asked, grows=True),
    DriftTable("questions", "patients who asked", list_event_files, build_questions),
    DriftTable("served", "patients served", list_interaction_files, build_served, grows=True),
)
