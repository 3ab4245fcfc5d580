"""A clinic of any size for the benchmark: the sample clinic's women again and again, each copy a person of her own.

A copy's events are shifted by her own number of days (up to a year back, never ahead of when they were known), so that
no two women share their moments. Everything follows from the seed.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.records import ledger, log
from pipelines.settings import PROJECT, Settings

EVENTS_A_WOMAN = 200


def sample_events() -> pl.DataFrame:
    """The events of the sample clinic's history, at most ``EVENTS_A_WOMAN`` a woman, her newest."""
    from pipelines.records.drops import drops
    from pipelines.records.stage import run as take_in

    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), drops=PROJECT / "examples" / "clinic")
        take_in(settings, drops(settings)[0].night)
        events = log.scan(settings).sort("subject_id", "known_at").collect()
    kept = pl.int_range(pl.len()).over("subject_id") >= pl.len().over("subject_id") - EVENTS_A_WOMAN
    return events.filter(kept | (pl.col("kind") == "patient"))


def enlarged(events: pl.DataFrame, women: int, seed: int = 0, first: int = 0) -> pl.DataFrame:
    """The events of ``women`` copies, numbered from ``first`` on: other subjects, records and days."""
    random = np.random.default_rng(seed)
    by_woman = events.partition_by("subject_id")
    copies = []
    for number in range(first, first + women):
        hers = by_woman[int(random.integers(len(by_woman)))]
        back, salt = pl.duration(days=int(random.integers(0, 365))), pl.lit(number, dtype=pl.UInt64)
        copies.append(
            hers.with_columns(
                pl.lit(number + 1, dtype=pl.Int64).alias("subject_id"),
                pl.col("time", "known_at") - back,
                *(_again(name, salt) for name in ("record", "parent")),
            )
        )
    return pl.concat(copies)


def _again(name: str, salt: pl.Expr) -> pl.Expr:
    """Another 62-bit number for each number and copy; a reference still meets what it refers to."""
    mixed = pl.struct(pl.col(name), salt.alias("copy")).hash(7) // 4
    return pl.when(pl.col(name).is_null()).then(None).otherwise(mixed.cast(pl.Int64)).alias(name)


def take_in(settings: Settings, night: str, events: pl.DataFrame) -> None:
    """Append events to a clinic's log as one drop of a night."""
    settings.events.mkdir(parents=True, exist_ok=True)
    batch = log.write(settings, night, events)
    ledger.write(settings, ledger.Entry(night, content=batch, batches=[batch]))


def empty(folder: Path, name: str) -> Settings:
    """A clinic below ``folder`` that holds nothing yet."""
    drops = folder / name
    drops.mkdir(parents=True)
    return Settings(home=folder / "state", drops=drops, key_dir=folder / "keys")


def known_on(events: pl.DataFrame, night: str) -> pl.DataFrame:
    """The events as news of one night: all of them known at its end."""
    end = datetime.strptime(night, "%Y%m%d").replace(hour=23, minute=59, second=59, tzinfo=UTC)
    return events.with_columns(known_at=pl.lit(end).cast(pl.Datetime("us", "UTC")))
