"""Prompts: what the endpoint made of the questions asked since the night before, from its interaction log."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from pipelines.monitoring.families.table import SAMPLE, Table, end_of
from pipelines.settings import Settings

#: The clinic's clock may be the end of the night before to the second, which is when this night begins.
CLOCK_STEP = timedelta(seconds=1)


def interaction_files(settings: Settings, night: str) -> list[Path]:
    """Every day's log: which night an interaction belongs to is said by the clinic's clock inside."""
    return sorted((settings.workspace / "interactions").glob("*.jsonl"))


def served(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row a patient who asked: candidates, segments kept, the policy's first pick, style, signs, completeness."""
    lines = [line for file in interaction_files(settings, night) for line in file.read_text().splitlines()]
    asked: dict[int, dict[str, object]] = {}
    for entry in sorted(map(json.loads, lines), key=lambda e: e["id"]):
        at = datetime.fromisoformat(entry["versions"]["as_of"])
        if since - CLOCK_STEP < at < end_of(night) - CLOCK_STEP:
            asked.setdefault(entry["patient"], _row(entry))
    return pl.DataFrame(list(asked.values())[:SAMPLE])


def _row(entry: dict) -> dict[str, object]:
    picks = entry["program"]["picks"]
    return {
        "candidates": entry["candidates"],
        "segments kept": len(entry["kept"]),
        "free segments kept": len(picks),
        "first pick": picks[0] if picks else "nothing",
        "style": entry["program"]["style"],
        "language": entry["language"],
        "red flag": "yes" if entry["signs"] else "no",
        "personalization": entry["personalization"],
    }


TABLES = (Table("served", "patients who asked", interaction_files, served),)
