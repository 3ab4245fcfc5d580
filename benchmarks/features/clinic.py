"""A clinic of any size for the benchmark: the sample clinic's women again and again, each copy a person of her own.

A copy's events are shifted by her own number of days (up to a year back, never ahead of when they were known), so that
no two women share their moments. Everything follows from the seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.night_dates import end_of_night
from pipelines.records.log import event_log, ledger
from pmlm.settings import PROJECT, Settings

EVENTS_A_WOMAN = 200
WOMEN_A_BATCH = 5000


def sample_events() -> pl.DataFrame:
    """The events of the sample clinic's history, at most ``EVENTS_A_WOMAN`` a woman, her newest."""
    from pipelines.records.drops import list_drops
    from pipelines.records.stage import run as take_in

    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), drops=PROJECT / "examples" / "clinic")
        take_in(settings, list_drops(settings)[0].night)
        events = event_log.scan_events(settings).sort("subject_id", "known_at").collect()
    kept = pl.int_range(pl.len()).over("subject_id") >= pl.len().over("subject_id") - EVENTS_A_WOMAN
    return events.filter(kept | (pl.col("kind") == "patient"))


def enlarged(events: pl.DataFrame, women: int, seed: int = 0, first: int = 0) -> pl.DataFrame:
    """The events of ``women`` copies, numbered from ``first`` on: other subjects, records and days."""
    random = np.random.default_rng(seed)
    whose = events["subject_id"].unique().sort()
    copies = pl.DataFrame(
        {
            "of": whose.gather(random.integers(len(whose), size=women)),
            "back": random.integers(0, 365, women),
            "copy": np.arange(first, first + women, dtype=np.uint64),
        }
    )
    return (
        copies.join(events, left_on="of", right_on="subject_id", maintain_order="left_right")
        .select(
            *(pl.col("copy").cast(pl.Int64) + 1 if name == "subject_id" else _copied(name) for name in events.columns)
        )
        .rename({"copy": "subject_id"})
    )


def _copied(name: str) -> pl.Expr:
    if name in ("time", "known_at"):
        return pl.col(name) - pl.duration(days=pl.col("back"))
    return _again(name, pl.col("copy")) if name in ("record", "parent") else pl.col(name)


def _again(name: str, salt: pl.Expr) -> pl.Expr:
    """Another 62-bit number for each number and copy; a reference still meets what it refers to."""
    mixed = pl.struct(pl.col(name), salt).hash(7) // 4
    return pl.when(pl.col(name).is_null()).then(None).otherwise(mixed.cast(pl.Int64)).alias(name)


def take_in(settings: Settings, night: str, events: pl.DataFrame) -> None:
    """Append events to a clinic's log as one drop of a night."""
    settings.events.mkdir(parents=True, exist_ok=True)
    batch = event_log.write_batch(settings, night, events)
    ledger.write_entry(settings, ledger.LedgerEntry(night, content=batch, batches=[batch]))


def take_in_copies(settings: Settings, night: str, events: pl.DataFrame, women: int, *, at_once: bool) -> int:
    """Append ``women`` copies as one drop in several batches, so that memory does not grow with it; how many events.

    ``at_once`` makes all of it known that night, else the copies keep when each event was known.
    """
    settings.events.mkdir(parents=True, exist_ok=True)
    batches, taken = [], 0
    for made in copies(events, women):
        batches.append(event_log.write_batch(settings, night, known_on(made, night) if at_once else made))
        taken += made.height
    ledger.write_entry(settings, ledger.LedgerEntry(night, content=batches[-1], batches=batches))
    return taken


def copies(events: pl.DataFrame, women: int) -> Iterator[pl.DataFrame]:
    """The events of ``women`` copies, some thousand women at a time."""
    for first in range(0, women, WOMEN_A_BATCH):
        yield enlarged(events, min(WOMEN_A_BATCH, women - first), seed=first, first=first)


def empty(folder: Path, name: str) -> Settings:
    """A clinic below ``folder`` that holds nothing yet."""
    drops = folder / name
    drops.mkdir(parents=True)
    return Settings(home=folder / "state", drops=drops, key_dir=folder / "keys")


def known_on(events: pl.DataFrame, night: str) -> pl.DataFrame:
    """The events as news of one night: all of them known at its end."""
    end = end_of_night(night)
    return events.with_columns(known_at=pl.lit(end).cast(pl.Datetime("us", "UTC")))
