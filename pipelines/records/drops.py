"""A clinic's drops: one folder per date, ingested in date order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from pipelines.records.log.ledger import read_entries
from pipelines.records.read.archives import show_name
from pipelines.records.read.code_map import load_code_map
from pipelines.records.read.resources import list_files
from pmlm.errors import RecordsError
from pmlm.settings import Settings

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Drop:
    """One night's records: their date, and the folder (or file) they are in."""

    date: date
    path: Path

    @property
    def night(self) -> str:
        """The night id, ``YYYYMMDD``."""
        return self.date.strftime("%Y%m%d")

    @cached_property
    def content(self) -> str:
        """SHA-256 over names and bytes of the drop's files, independent of its path."""
        digest = sha256()
        for file in list_files(self.path):
            name = file.name if file == self.path else file.relative_to(self.path).as_posix()
            with file.open("rb") as stream:
                block = sha256()
                while data := stream.read(1 << 20):
                    block.update(data)
            digest.update(name.encode(errors="surrogateescape") + b"\0" + block.digest())
        return digest.hexdigest()

    @cached_property
    def state(self) -> dict[Path, tuple[int, int]]:
        """Size and time of change of each file, as first asked for."""
        return _stat_files(self.path)

    def check_unchanged(self) -> None:
        """Raise ``RecordsError`` where a file was written since ``state`` was read."""
        now = _stat_files(self.path)
        changed = sorted(f for f in now.keys() | self.state.keys() if now.get(f) != self.state.get(f))
        if changed:
            name = show_name(changed[0].name)
            raise RecordsError(f"{name} was written while it was read: import the drop again when it is complete")


def _stat_files(path: Path) -> dict[Path, tuple[int, int]]:
    return {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in list_files(path)}


def list_drops(settings: Settings) -> list[Drop]:
    """All drops of the clinic in date order.

    A clinic's folder without dated folders is itself one drop, dated by its newest file.
    """
    root = settings.drops
    if not root.exists():
        raise RecordsError(f"the clinic's folder {root} does not exist")
    dated = [
        Drop(day, p) for p in sorted(root.iterdir()) if p.is_dir() and (day := parse_folder_date(p.name)) is not None
    ]
    if dated or not list_files(root):
        return dated
    return [Drop(find_newest_date(root), root)]


def hash_drop(drop: Drop, digest: str) -> str:
    """The content of a drop as the ledger lists it: with the ``digest`` of the clinic's code maps, if it has any."""
    return sha256(f"{drop.content} {digest}".encode()).hexdigest() if digest else drop.content


def list_pending(settings: Settings) -> list[Drop]:
    """The drops that the ledger does not list with their present content and code maps, in date order."""
    digest = load_code_map(settings.drops).digest
    known = {e.night: e.content for e in read_entries(settings)}
    return [d for d in list_drops(settings) if known.get(d.night) != hash_drop(d, digest)]


def parse_folder_date(name: str) -> date | None:
    """The date that a drop's folder name gives, or None."""
    if not _DATED.fullmatch(name):
        return None
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def find_newest_date(path: Path) -> date:
    """The day (UTC) of the newest file of a drop."""
    stamps = [f.stat().st_mtime for f in list_files(path)]
    return datetime.fromtimestamp(max(stamps, default=path.stat().st_mtime), UTC).date()
