"""The rolling window: each night's sealed tables, kept under ``monitoring/<night>/`` and made again when stale.

A table is a pure function of the event log, the features and the episodes, so a night that never ran its drift
stage (several drops taken in at once) has its tables made when a later night first needs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from pipelines.monitoring.families.witnesses import Table, end_of, sealed
from pipelines.records.log import ledger
from pmlm.errors import UnknownNightError
from pmlm.settings import Settings
from pmlm.storage import replacing


def folder(settings: Settings, night: str) -> Path:
    """Where a night's sealed tables lie."""
    return settings.workspace / "monitoring" / night


def nights(settings: Settings) -> list[str]:
    """The nights taken in, oldest first, from the ledger."""
    return [entry.night for entry in ledger.entries(settings)]


def nights_before(settings: Settings, night: str, window: int) -> list[str]:
    """The last ``window`` nights taken in before ``night``, oldest first."""
    return [n for n in nights(settings) if n < night][-window:]


def known_night(settings: Settings, night: str | None) -> str:
    """``night`` itself, or the last one for None; UnknownNightError if it was never taken in."""
    taken_in = nights(settings)
    if not taken_in:
        raise UnknownNightError(f"no night has been taken in from {settings.drops}; run: pmlm night")
    if night and night not in taken_in:
        raise UnknownNightError(f"night {night} was never taken in; the last one is {taken_in[-1]}")
    return night or taken_in[-1]


def since(settings: Settings, night: str, window: int) -> datetime:
    """The end of the night before, or for the first night ``window`` days before its own end: a clinic's history, which
    arrives as its first night, counts as its last days and not as one giant night."""
    earlier = nights_before(settings, night, 1)
    return end_of(earlier[0]) if earlier else end_of(night) - timedelta(days=window)


def _fresh(path: Path, sources: Sequence[Path]) -> bool:
    return path.exists() and all(s.stat().st_mtime_ns <= path.stat().st_mtime_ns for s in sources)


def sealed_table(settings: Settings, night: str, table: Table, window: int) -> pl.DataFrame:
    """The night's table with every column sorted by itself; read from the window if its sources are older."""
    path = folder(settings, night) / f"{table.name}.parquet"
    sources = table.sources(settings, night)
    if _fresh(path, sources):
        return pl.read_parquet(path)
    frame = sealed(table.build(settings, night, since(settings, night, window)))
    with replacing(path) as temporary:
        frame.write_parquet(temporary)
    return frame


def reference(settings: Settings, nights: Sequence[str], table: Table, window: int) -> pl.DataFrame:
    """The window's tables one under the other; columns that only some nights have are null in the others."""
    frames = [sealed_table(settings, night, table, window) for night in nights]
    filled = [frame for frame in frames if frame.width]
    return pl.concat(filled, how="diagonal") if filled else pl.DataFrame()
