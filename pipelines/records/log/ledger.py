"""The ledger: one file per ingested drop, with its accounts.

Writing it is what makes an import count. An event batch that no entry lists is the trace of a killed import; readers
do not see it, and the next import removes it. There is one writer at a time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipelines.records.log import spill
from pmlm.errors import RecordsError
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json


@dataclass(slots=True)
class Accounts:
    """What became of a drop's resources: ``accepted + ignored + quarantined == read``.

    ``duplicates`` counts the accepted that repeat an equal resource of the drop. ``released`` counts, by rule, rows of
    other drops that this import released from quarantine; they belong to their own drop's accounts.
    """

    read: int = 0
    accepted: int = 0
    ignored: int = 0
    quarantined: int = 0
    by_rule: dict[str, int] = field(default_factory=dict)
    ignored_types: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    skipped_files: int = 0
    released: dict[str, int] = field(default_factory=dict)
    events: int = 0


@dataclass(slots=True)
class LedgerEntry:
    """One ingested drop: its night, content hash, event batches and accounts.

    ``released`` lists quarantine rows that became events of this night.
    """

    night: str
    content: str
    batches: list[str] = field(default_factory=list)
    accounts: Accounts = field(default_factory=Accounts)
    released: list[str] = field(default_factory=list)


def folder(settings: Settings) -> Path:
    """The folder of the ledger's files."""
    return settings.workspace / "data" / "ledger"


def read_entries(settings: Settings) -> list[LedgerEntry]:
    """All ingested drops in date order."""
    return [_read_file(path) for path in sorted(folder(settings).glob("*.json"))]


def read_entry(settings: Settings, night: str) -> LedgerEntry | None:
    """The entry of a night's drop, or None where it was not ingested."""
    path = folder(settings) / f"{night}.json"
    return _read_file(path) if path.exists() else None


def write_entry(settings: Settings, entry: LedgerEntry) -> None:
    """Write the entry of a drop in place of its former one."""
    write_json(folder(settings) / f"{entry.night}.json", asdict(entry))


def read_released(settings: Settings) -> frozenset[str]:
    """The ids of all quarantine rows ever released."""
    return frozenset(row for entry in read_entries(settings) for row in entry.released)


def list_batches(settings: Settings) -> list[Path]:
    """The event batches that count, in order of night and name."""
    return [settings.events / name for entry in read_entries(settings) for name in sorted(entry.batches)]


def remove_orphans(settings: Settings) -> None:
    """Remove what killed imports have left: unlisted batches, spilled rows, half-written files."""
    spill.clear(settings)
    listed = set(list_batches(settings))
    for path in settings.events.glob("*.parquet"):
        if path not in listed:
            path.unlink()
    for parent in (settings.events, folder(settings), settings.quarantine):
        for path in parent.glob("**/.*.part"):
            path.unlink()


def _read_file(path: Path) -> LedgerEntry:
    try:
        value = read_json(path)
        return LedgerEntry(**{**value, "accounts": Accounts(**value["accounts"])})
    except (ValueError, KeyError, TypeError):
        advice = "restore it from a backup; without it the night's events do not count"
        raise RecordsError(f"data/ledger/{path.name} is damaged: {advice}") from None
