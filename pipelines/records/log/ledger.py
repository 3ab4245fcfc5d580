"""The ledger: one file a drop taken in, saying what was in it. Writing it is what makes an import count.

An event batch that no ledger lists is the trace of an import that was killed; readers do not see it, and the
next import removes it. There is one writer at a time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipelines.records.log import spill
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json


@dataclass(slots=True)
class Accounts:
    """What became of a drop's resources: ``accepted + ignored + quarantined == read``.

    ``duplicates`` of the accepted stood in the drop more than once, equal. ``read_released`` counts earlier rows let
    out of quarantine by this import, by the rule that had held them; they belong to their own drop's accounts.
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
    """One drop in the ledger: its night, the content hash of its files, its event batches and its accounts.

    ``read_released`` names quarantine rows that are no longer held: they became events of this night.
    """

    night: str
    content: str
    batches: list[str] = field(default_factory=list)
    accounts: Accounts = field(default_factory=Accounts)
    released: list[str] = field(default_factory=list)


def folder(settings: Settings) -> Path:
    return settings.workspace / "data" / "ledger"


def read_entries(settings: Settings) -> list[LedgerEntry]:
    """All drops taken in, in date order."""
    return [_read_file(path) for path in sorted(folder(settings).glob("*.json"))]


def read_entry(settings: Settings, night: str) -> LedgerEntry | None:
    path = folder(settings) / f"{night}.json"
    return _read_file(path) if path.exists() else None


def write_entry(settings: Settings, new: LedgerEntry) -> None:
    write_json(folder(settings) / f"{new.night}.json", asdict(new))


def read_released(settings: Settings) -> frozenset[str]:
    """Every quarantine row ever let out."""
    return frozenset(row for e in read_entries(settings) for row in e.released)


def list_batches(settings: Settings) -> list[Path]:
    """The event batches that count, in order of night and name."""
    return [settings.events / name for e in read_entries(settings) for name in sorted(e.batches)]


def remove_orphans(settings: Settings) -> None:
    """Remove what killed imports have left: batches no ledger entry lists, rows laid aside, half-written files."""
    spill.clear(settings)
    counted = set(list_batches(settings))
    for path in settings.events.glob("*.parquet"):
        if path not in counted:
            path.unlink()
    for left in (settings.events, folder(settings), settings.quarantine):
        for path in left.glob("**/.*.part"):
            path.unlink()


def _read_file(path: Path) -> LedgerEntry:
    value = read_json(path)
    return LedgerEntry(**{**value, "accounts": Accounts(**value["accounts"])})
