"""The clinic's clock: for ``clock: last_drop`` it stands at the end of the last drop taken in."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl

from pipelines.records.log import event_log, ledger
from pipelines.records.read.fhir_time import end_of, to_datetime
from pmlm.settings import Settings
from pmlm.storage import write_json


def day_of(night: str) -> date:
    """The date of a night id (``20260601``)."""
    return datetime.strptime(night, "%Y%m%d").date()


def advance_clock(settings: Settings) -> None:
    """Set the clock to the latest moment anything in the log is known, at least the end of the last drop's day."""
    entries = ledger.read_entries(settings)
    if settings.manifest.clock != "last_drop" or not entries:
        return
    latest = to_datetime(end_of(day_of(entries[-1].night)))
    newest: datetime | None = (
        event_log.scan_events(settings).select(pl.col("known_at").max()).collect(engine="streaming").item()
    )
    write_json(settings.workspace / "clock.json", {"as_of": max(latest, newest or latest).isoformat()})
