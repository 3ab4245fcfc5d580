"""Seal each night's tables in ``monitoring/<night>/``, from which the rolling reference window is made.

A table depends on the event log, the features and the episodes alone, so the tables of a night that never ran its drift
stage (several drops ingested at once), and stale ones, are built when a later night first needs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from pipelines.monitoring.families.drift_table import DriftTable, seal_table, write_table
from pipelines.night_dates import end_of_night
from pipelines.records.log import ledger
from pmlm.errors import UnknownNightError
from pmlm.settings import Settings


def window_folder(settings: Settings, night: str) -> Path:
    """The folder of a night's sealed tables."""
    return settings.workspace / "monitoring" / night


def list_nights(settings: Settings) -> list[str]:
    """List the ingested nights, oldest first, from the ledger."""
    return [entry.night for entry in ledger.read_entries(settings)]


def list_nights_before(settings: Settings, night: str, window: int) -> list[str]:
    """List the last ``window`` nights ingested before ``night``, oldest first."""
    return [n for n in list_nights(settings) if n < night][-window:]


def resolve_night(settings: Settings, night: str | None) -> str:
    """Check that ``night`` was ingested, else UnknownNightError; None means the last one."""
    ingested = list_nights(settings)
    if not ingested:
        raise UnknownNightError(f"no night has been taken in from {settings.drops}; run: pmlm night")
    if night and night not in ingested:
        raise UnknownNightError(f"night {night} was never taken in; the last one is {ingested[-1]}")
    return night or ingested[-1]


def night_start(settings: Settings, night: str, window: int) -> datetime:
    """The end of the night before; for the first night, ``window`` days before its end.

    So a clinic's history, which arrives as its first night, counts as its last days and not as one giant night.
    """
    earlier = list_nights_before(settings, night, 1)
    return end_of_night(earlier[0]) if earlier else end_of_night(night) - timedelta(days=window)


def _is_fresh(path: Path, sources: Sequence[Path]) -> bool:
    return path.exists() and all(s.stat().st_mtime_ns <= path.stat().st_mtime_ns for s in sources)


def table_path(settings: Settings, night: str, table: DriftTable) -> Path:
    """The file of a night's sealed table."""
    return window_folder(settings, night) / f"{table.name}.parquet"


def refresh_table(settings: Settings, night: str, table: DriftTable, window: int, own: bool = False) -> Path:
    """Build the night's sealed table where it is missing or a source is newer; returns its file.

    Where later nights write into its sources as well, only the night's ``own`` drift stage builds it again.
    """
    path = table_path(settings, night, table)
    if (path.exists() and table.grows and not own) or _is_fresh(path, table.sources(settings, night)):
        return path
    write_table(path, seal_table(table.build(settings, night, night_start(settings, night, window))))
    return path
