"""Write a clinic's log straight from generated events, and read what its build left."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from random import Random

import polars as pl
import pyarrow.parquet as pq

from feature_repo.store.services import find_groups
from pipelines.night_dates import end_of_night
from pipelines.records.log import ledger as records_ledger
from pmlm.settings import Settings
from tests.unit.pipelines.features.histories import DAYS, START, Event, history, log_of

FIRST = START.strftime("%Y%m%d")


def night_of(day: int) -> str:
    return (START + dt.timedelta(days=day)).strftime("%Y%m%d")


LAST = night_of(DAYS + 5)


def clinic(folder: Path, k: int = 10) -> Settings:
    """Settings of an empty clinic below ``folder``."""
    (folder / "clinic").mkdir(parents=True, exist_ok=True)
    return Settings(home=folder / "state", drops=folder / "clinic", key_dir=folder / "keys", k_anonymity=k)


def patients(seed: int, pairs: int, records: int = 24) -> list[Event]:
    """The events of ``2 * pairs`` generated patients."""
    random = Random(seed)
    return [event for first in range(1, 2 * pairs, 2) for event in history(random, [first, first + 1], records)]


def write_batch(settings: Settings, night: str, events: list[Event], name: str = "a") -> None:
    """Append a batch to the log and its ledger, as the records stage does."""
    uncommitted(settings, night, events, name)
    entry = records_ledger.read_entry(settings, night) or records_ledger.LedgerEntry(night, content="")
    entry.batches = sorted({*entry.batches, f"{night}-{name}.parquet"})
    records_ledger.write_entry(settings, entry)


def uncommitted(settings: Settings, night: str, events: list[Event], name: str = "a") -> None:
    """A batch as an import leaves it that is killed before its ledger entry."""
    settings.events.mkdir(parents=True, exist_ok=True)
    pq.write_table(log_of(events), settings.events / f"{night}-{name}.parquet")


def forget(settings: Settings, night: str) -> None:
    """Bring the log back to before a night, as a restore does."""
    (records_ledger.folder(settings) / f"{night}.json").unlink()
    for path in settings.events.glob(f"{night}-*.parquet"):
        path.unlink()


def known_on(events: list[Event], after: str | None, upto: str) -> list[Event]:
    """Select the events that became known after one night and by another."""
    start = end_of_night(after) if after else None
    seconds = [(e, e["known_at"].replace(microsecond=0)) for e in events]
    return [e for e, known in seconds if (start is None or known > start) and known <= end_of_night(upto)]


def group_rows(settings: Settings, group: str) -> pl.DataFrame:
    """Read a group's rows, per ``KEY`` the newest, without ``created_timestamp``."""
    rows = pl.read_parquet(settings.features / group / "*.parquet").sort("created_timestamp")
    last = rows.unique(["subject_id", "event_timestamp"], keep="last")
    return last.sort("subject_id", "event_timestamp").drop("created_timestamp")


def all_rows(settings: Settings) -> dict[str, pl.DataFrame]:
    return {name: group_rows(settings, name) for name in find_groups()}
