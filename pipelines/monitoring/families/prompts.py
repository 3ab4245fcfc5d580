"""Prompts: the initial prompts of tonight's questions, and what the endpoint made of those it was asked."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.monitoring.families.witnesses import SAMPLE, Table, end_of
from pmlm.settings import Settings

#: The clinic's clock may be the end of the night before to the second, which is when this night begins.
CLOCK_STEP = timedelta(seconds=1)
KINDS = ("record", "change", "behaviour", "preference", "peer", "prediction")


def episode_file(settings: Settings, night: str) -> list[Path]:
    """The clinic's episodes, all nights in one file."""
    path = settings.episodes / "episodes.parquet"
    return [path] if path.exists() else []


def asked(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row a patient who asked her clinician: segments of each kind, free tokens, and the segment ranked first."""
    files = episode_file(settings, night)
    if not files:
        return pl.DataFrame()
    episodes = pl.scan_parquet(files).filter((pl.col("as_of") > since) & (pl.col("as_of") <= end_of(night)))
    free = (
        episodes.sort("episode_id")
        .unique("subject_id", keep="first", maintain_order=True)
        .head(SAMPLE)
        .select("subject_id", pl.col("segments").list.filter(~pl.element().struct.field("pinned")))
    )
    kinds = pl.col("segments").list.eval(pl.element().struct.field("kind"))
    return free.select(
        pl.col("segments").list.len().alias("candidates"),
        pl.col("segments").list.eval(pl.element().struct.field("tokens")).list.sum().alias("free tokens"),
        pl.col("segments").list.first().struct.field("key").alias("ranked first"),
        *(kinds.list.count_matches(kind).alias(f"{kind} segments") for kind in KINDS),
    ).collect()


def interaction_files(settings: Settings, night: str) -> list[Path]:
    """Every day's log: which night an interaction belongs to is said by the clinic's clock inside."""
    return sorted((settings.workspace / "interactions").glob("*.jsonl"))


def served(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row a patient who asked the endpoint since the night before: what was kept, first pick, style, red flags."""
    lines = [line for file in interaction_files(settings, night) for line in file.read_text().splitlines()]
    rows: dict[int, dict[str, object]] = {}
    for entry in sorted(map(json.loads, lines), key=lambda e: e["id"]):
        at = datetime.fromisoformat(entry["versions"]["as_of"])
        if since - CLOCK_STEP < at < end_of(night) - CLOCK_STEP:
            rows.setdefault(entry["patient"], _row(entry))
    return pl.DataFrame(list(rows.values())[:SAMPLE])


def _row(entry: dict[str, Any]) -> dict[str, object]:
    picks = entry["program"]["picks"]
    return {
        "candidates served": entry["candidates"],
        "segments kept": len(entry["kept"]),
        "first pick": picks[0] if picks else "nothing",
        "style": entry["program"]["style"],
        "language": entry["language"],
        "red flag": "yes" if entry["signs"] else "no",
        "personalization": entry["personalization"],
    }


TABLES = (
    Table("asked", "patients who asked", episode_file, asked),
    Table("served", "patients served", interaction_files, served),
)
