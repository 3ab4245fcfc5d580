"""Make a clinic of any size: shifted copies of the sample clinic's patients.

Each copy is a patient of their own, whose events are shifted by a number of days (up to a year back, never ahead of
when they were known), so that no two patients share their as-of times. Everything follows from the seed.
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

EVENTS_PER_PATIENT = 200
PATIENTS_PER_BATCH = 5000


def read_sample_events() -> pl.DataFrame:
    """Read the sample clinic's events, the newest ``EVENTS_PER_PATIENT`` of each patient."""
    from pipelines.records.drops import list_drops
    from pipelines.records.stage import run as take_in

    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), drops=PROJECT / "examples" / "clinic")
        take_in(settings, list_drops(settings)[0].night)
        events = event_log.scan_events(settings).sort("subject_id", "known_at").collect()
    newest = pl.int_range(pl.len()).over("subject_id") >= pl.len().over("subject_id") - EVENTS_PER_PATIENT
    return events.filter(newest | (pl.col("kind") == "patient"))


def copy_patients(events: pl.DataFrame, patients: int, seed: int = 0, first: int = 0) -> pl.DataFrame:
    """Copy some patients at random, numbered from ``first``: other subjects, records and days."""
    random = np.random.default_rng(seed)
    whose = events["subject_id"].unique().sort()
    copies = pl.DataFrame(
        {
            "of": whose.gather(random.integers(len(whose), size=patients)),
            "back": random.integers(0, 365, patients),
            "copy": np.arange(first, first + patients, dtype=np.uint64),
        }
    )
    return (
        copies.join(events, left_on="of", right_on="subject_id", maintain_order="left_right")
        .select(
            *(
                pl.col("copy").cast(pl.Int64) + 1 if name == "subject_id" else _copy_column(name)
                for name in events.columns
            )
        )
        .rename({"copy": "subject_id"})
    )


def _copy_column(name: str) -> pl.Expr:
    if name in ("time", "known_at"):
        return pl.col(name) - pl.duration(days=pl.col("back"))
    return _rehash(name, pl.col("copy")) if name in ("record", "parent") else pl.col(name)


def _rehash(name: str, salt: pl.Expr) -> pl.Expr:
    """Hash each number per copy to 62 bits; references still point to their records."""
    mixed = pl.struct(pl.col(name), salt).hash(7) // 4
    return pl.when(pl.col(name).is_null()).then(None).otherwise(mixed.cast(pl.Int64)).alias(name)


def take_in(settings: Settings, night: str, events: pl.DataFrame) -> None:
    """Append events to a clinic's log as one drop of a night."""
    settings.events.mkdir(parents=True, exist_ok=True)
    batch = event_log.write_batch(settings, night, events)
    ledger.write_entry(settings, ledger.LedgerEntry(night, content=batch, batches=[batch]))


def take_in_copies(settings: Settings, night: str, events: pl.DataFrame, patients: int, *, at_once: bool) -> int:
    """Append copies as one drop of several batches, so that memory stays flat; return events.

    ``at_once`` makes all of it known that night, else the copies keep when each event was known.
    """
    settings.events.mkdir(parents=True, exist_ok=True)
    batches, taken = [], 0
    for made in iterate_copies(events, patients):
        batches.append(event_log.write_batch(settings, night, make_known(made, night) if at_once else made))
        taken += made.height
    ledger.write_entry(settings, ledger.LedgerEntry(night, content=batches[-1], batches=batches))
    return taken


def take_in_news(settings: Settings, night: str, events: pl.DataFrame, patients: int, share: float = 0.01) -> None:
    """Append as one drop five corrected facts of every hundredth of the copies (``share``)."""
    concerned = pl.col("subject_id") % round(1 / share) == 0
    some = pl.concat(made.filter(concerned) for made in iterate_copies(events, patients))
    newest = some.sort("known_at", "record", descending=True).group_by("subject_id").head(5)
    corrected = newest.with_columns(source=pl.lit("news") + pl.col("source").str.slice(4))
    take_in(settings, night, make_known(corrected, night))


def iterate_copies(events: pl.DataFrame, patients: int) -> Iterator[pl.DataFrame]:
    """Yield the events of so many copies, some thousand patients at a time."""
    for first in range(0, patients, PATIENTS_PER_BATCH):
        yield copy_patients(events, min(PATIENTS_PER_BATCH, patients - first), seed=first, first=first)


def create_clinic(folder: Path, name: str) -> Settings:
    """Create an empty clinic below ``folder``."""
    drops = folder / name
    drops.mkdir(parents=True)
    return Settings(home=folder / "state", drops=drops, key_dir=folder / "keys")


def make_known(events: pl.DataFrame, night: str) -> pl.DataFrame:
    """Make all events known at the end of a night."""
    end = end_of_night(night)
    return events.with_columns(known_at=pl.lit(end).cast(pl.Datetime("us", "UTC")))
