"""Rewards: how good the prompts were by the scorer, and how patients rated the replies."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from models.vocabulary import RATING_CODE
from pipelines.monitoring.families.records import event_files
from pipelines.monitoring.families.table import SAMPLE, Table
from pipelines.settings import Settings


def ratings(settings: Settings, night: str, since: datetime) -> pl.DataFrame:
    """One row a rating, 1 to 5."""
    files = event_files(settings, night)
    if not files:
        return pl.DataFrame()
    given = pl.scan_parquet(files).filter((pl.col("code") == RATING_CODE) & (pl.col("known_at") > since))
    return given.sort("record", "known_at").head(SAMPLE).select(pl.col("numeric_value").alias("rating")).collect()


TABLES = (Table("ratings", "ratings", event_files, ratings),)
