"""Rows that failed a rule, with their raw text: JSON Lines, one file a drop, folder mode 700, files mode 600.

This is the only place that keeps raw records. A row leaves it by becoming events (the ledger says so first), or
when its drop is read again and the row is no longer broken.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from pipelines.records.log import ledger
from pipelines.records.read.coding import clean_text
from pipelines.records.read.identity import hash_row
from pipelines.records.read.raw_resource import RawResource, Resource, ResourceError
from pmlm.settings import Settings
from pmlm.storage import atomic_write

#: Rules that time or another drop may mend: every import tries these rows again.
RETRIED_RULES = ("future_date", "unknown_patient", "unknown_medication")


_HEAD = 4096
_NAMED = {key: re.compile(rb'"%s"\s*:\s*"([^"]{1,80})"' % key.encode()) for key in ("resourceType", "id")}


@dataclass(slots=True)
class QuarantineRow:
    """One quarantined resource. ``raw`` is its text (base64 in ``raw64`` where it is no UTF-8); it may be edited."""

    row: str
    night: str
    file: str
    line: int
    entry: int
    type: str
    id: str
    rule: str
    reason: str
    raw: str = ""
    raw64: str = ""
    deleted: bool = False

    @property
    def text(self) -> bytes:
        return b64decode(self.raw64) if self.raw64 else self.raw.encode()


def compute_row_id(settings: Settings, night: str, line: RawResource) -> str:
    """The name of a line of a drop, its text included: it stays the row's name when the row is edited."""
    return hash_row(settings, night, line.file, line.number, line.entry, line.text)


def make_row(row: str, night: str, line: RawResource, broken: ResourceError) -> QuarantineRow:
    """The quarantine row of a line that broke a rule."""
    kind, ident = _find_type_and_id(line)
    new = QuarantineRow(row, night, line.file, line.number, line.entry, kind, ident, broken.rule, broken.reason)
    new.deleted = line.deleted
    try:
        new.raw = line.text.decode()
    except UnicodeDecodeError:
        new.raw64 = b64encode(line.text).decode()
    return new


def _find_type_and_id(line: RawResource) -> tuple[str, str]:
    """Type and id as far as they can be made out, in a text that breaks off too."""
    values: list[Any]
    resource = line.resource or _parsed(line.text)
    if resource is not None:
        values = [resource.get(key) for key in _NAMED]
    else:
        found = [name.search(line.text[:_HEAD]) for name in _NAMED.values()]
        values = [m.group(1).decode(errors="replace") if m else "" for m in found]
    kind, ident = (clean_text(v, 80) if isinstance(v, str) else "" for v in values)
    return kind, ident


def _parsed(text: bytes) -> Resource | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def read_rows(settings: Settings, night: str | None = None) -> Iterator[QuarantineRow]:
    """Rows still held, of one drop or of all, in order of drop."""
    let_out = ledger.read_released(settings)
    for entry in ledger.read_entries(settings):
        if night in (None, entry.night):
            yield from (row for row in _read_file(_path(settings, entry.night)) if row.row not in let_out)


def _path(settings: Settings, night: str) -> Path:
    return settings.quarantine / f"{night}.jsonl"


def _read_file(path: Path) -> Iterator[QuarantineRow]:
    if path.exists():
        with path.open("rb") as stream:
            yield from (QuarantineRow(**orjson.loads(raw)) for raw in stream)


@contextmanager
def open_writer(settings: Settings, night: str) -> Iterator[IO[bytes]]:
    """A stream that becomes the drop's quarantine file when the block ends without error."""
    settings.quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.quarantine.chmod(0o700)
    with atomic_write(_path(settings, night), mode=0o600) as temporary, temporary.open("wb") as stream:
        yield stream


def write_row(stream: IO[bytes], row: QuarantineRow) -> None:
    stream.write(orjson.dumps(asdict(row), option=orjson.OPT_APPEND_NEWLINE))


@contextmanager
def open_lookup(settings: Settings, night: str) -> Iterator[Callable[[str], QuarantineRow | None]]:
    """A look-up of one drop's rows still held, by name; the rows themselves stay on disk."""
    path, let_out, places = _path(settings, night), ledger.read_released(settings), dict[str, int]()
    if ledger.read_entry(settings, night) is None or not path.exists():
        yield lambda row: None
        return
    with path.open("rb") as stream:

        def find(row: str) -> QuarantineRow | None:
            if row not in places:
                return None
            stream.seek(places[row])
            return QuarantineRow(**orjson.loads(stream.readline()))

        while raw := stream.readline():
            places[QuarantineRow(**orjson.loads(raw)).row] = stream.tell() - len(raw)
        for row in let_out & places.keys():
            del places[row]
        yield find


def rewrite_files(settings: Settings, changed: Iterable[QuarantineRow] = ()) -> None:
    """Drop rows that were let out, take in changed ones; a file without rows, or of no drop in the ledger, goes."""
    new = {r.row: r for r in changed}
    for path in sorted(settings.quarantine.glob("*.jsonl")):
        held = sum(1 for _ in read_rows(settings, path.stem))
        mended = bool(new) and any(new.get(r.row, r) != r for r in read_rows(settings, path.stem))
        if not held:
            path.unlink()
        elif mended or held < sum(1 for _ in _read_file(path)):
            with open_writer(settings, path.stem) as stream:
                for row in read_rows(settings, path.stem):
                    write_row(stream, new.get(row.row, row))
