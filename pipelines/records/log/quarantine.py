"""Resources that broke a rule, with their raw text: one JSON Lines file per drop.

Only the owner may read them: the folder has mode 700, its files 600. Raw records are stored nowhere else. A row leaves
by becoming events (the ledger says so first), or when its drop is read again and the resource is no longer broken.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from pipelines.night_dates import end_of_night
from pipelines.records.log import ledger
from pipelines.records.read.bundle import find_entry_error
from pipelines.records.read.coding import clean_text
from pipelines.records.read.fhir_time import to_micros
from pipelines.records.read.identity import hash_row
from pipelines.records.read.json_keys import find_repeated_key
from pipelines.records.read.raw_resource import RawResource, ResourceError, parse_json
from pmlm.settings import Settings
from pmlm.storage import atomic_write, read_lines

#: Rules that time or another drop may satisfy: every import retries these rows.
RETRIED_RULES = ("future_date", "unknown_patient", "unknown_medication")

_HEAD = 4096
_NAMED = {key: re.compile(rb'"%s"\s*:\s*"([^"]{1,80})"' % key.encode()) for key in ("resourceType", "id")}


@dataclass(slots=True)
class QuarantineRow:
    """One quarantined resource; ``row`` is its id, and ``raw`` its text, which may be edited.

    Text that is no UTF-8 is in ``raw64``, as base64.
    """

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
        """The resource's text."""
        return b64decode(self.raw64) if self.raw64 else self.raw.encode()


def compute_row_id(settings: Settings, night: str, raw: RawResource) -> str:
    """The id of a resource's row; a row keeps it when it is edited."""
    return hash_row(settings, night, raw.file, raw.line, raw.entry, raw.text)


def make_row(row: str, night: str, raw: RawResource, error: ResourceError) -> QuarantineRow:
    """The quarantine row, with id ``row``, of a resource that broke a rule."""
    kind, ident = _find_type_and_id(raw)
    new = QuarantineRow(row, night, raw.file, raw.line, raw.entry, kind, ident, error.rule, error.reason)
    new.deleted = raw.deleted
    try:
        new.raw = raw.text.decode()
    except UnicodeDecodeError:
        new.raw64 = b64encode(raw.text).decode()
    return new


def parse_row(row: QuarantineRow) -> RawResource:
    """The resource of a quarantine row, from the row's present text."""
    raw = RawResource(row.file, row.line, row.text, entry=row.entry, deleted=row.deleted, row=row.row)
    raw.since = to_micros(end_of_night(row.night))
    value = parse_json(row.text)
    if value is not None and (key := find_repeated_key(row.text, value)):
        raw.error = ResourceError("duplicate_key", f"{key} is there twice")
    elif isinstance(value, dict) and (refused := find_entry_error(value)):
        raw.error = refused
    elif isinstance(value, dict):
        raw.resource = value.get("resource", value) if "resourceType" not in value else value
    elif row.text:
        raw.error = ResourceError("invalid_json", "the line is not valid JSON")
    else:
        raw.error = ResourceError(row.rule, row.reason)
    return raw


def _find_type_and_id(raw: RawResource) -> tuple[str, str]:
    """Type and id as far as they can be read, also in a truncated text."""
    values: list[Any]
    resource = raw.resource or parse_json(raw.text)
    if isinstance(resource, dict):
        values = [resource.get(key) for key in _NAMED]
    else:
        matches = [pattern.search(raw.text[:_HEAD]) for pattern in _NAMED.values()]
        values = [m.group(1).decode(errors="replace") if m else "" for m in matches]
    kind, ident = (clean_text(v, 80) if isinstance(v, str) else "" for v in values)
    return kind, ident


def read_rows(settings: Settings, night: str | None = None) -> Iterator[QuarantineRow]:
    """Yield the rows in quarantine, of one drop or of all, in order of drop."""
    released = ledger.read_released(settings)
    for entry in ledger.read_entries(settings):
        if night in (None, entry.night):
            yield from (row for row in _read_file(_path(settings, entry.night)) if row.row not in released)


def _path(settings: Settings, night: str) -> Path:
    return settings.quarantine / f"{night}.jsonl"


def _read_file(path: Path) -> Iterator[QuarantineRow]:
    if path.exists():
        yield from read_lines(path, parse_line)


def parse_line(line: bytes) -> QuarantineRow:
    """The row of a line; ``ValueError`` or ``TypeError`` for a line that is none."""
    return QuarantineRow(**orjson.loads(line))


def _read_torn(path: Path) -> list[bytes]:
    """The lines that are no rows, as a disk or an edit has left them: raw records that nobody else has."""
    torn = []
    with path.open("rb") as stream:
        for line in stream:
            try:
                parse_line(line)
            except (ValueError, TypeError):
                torn += [line.rstrip(b"\n") + b"\n"] if line.strip() else []
    return torn


@contextmanager
def open_writer(settings: Settings, night: str) -> Iterator[IO[bytes]]:
    """Open a stream that becomes the drop's quarantine file when the block ends without error."""
    settings.quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.quarantine.chmod(0o700)
    with atomic_write(_path(settings, night), mode=0o600) as temporary, temporary.open("wb") as stream:
        yield stream


def write_row(stream: IO[bytes], row: QuarantineRow) -> None:
    """Append a row to a stream of ``open_writer``."""
    stream.write(orjson.dumps(asdict(row), option=orjson.OPT_APPEND_NEWLINE))


@contextmanager
def open_lookup(settings: Settings, night: str) -> Iterator[Callable[[str], QuarantineRow | None]]:
    """Open a look-up of one drop's rows by id; the rows themselves stay on disk."""
    path, offsets = _path(settings, night), dict[str, int]()
    if ledger.read_entry(settings, night) is None or not path.exists():
        yield lambda row: None
        return
    with path.open("rb") as stream:

        def find_row(row: str) -> QuarantineRow | None:
            if row not in offsets:
                return None
            stream.seek(offsets[row])
            return parse_line(stream.readline())

        while line := stream.readline():
            with suppress(ValueError, TypeError):  # a torn line has no id
                offsets[parse_line(line).row] = stream.tell() - len(line)
        for row in ledger.read_released(settings) & offsets.keys():
            del offsets[row]
        yield find_row


def rewrite_files(settings: Settings, changed: Iterable[QuarantineRow] = ()) -> None:
    """Drop released rows, store changed ones; remove files without rows or ledger entry."""
    updates = {r.row: r for r in changed}
    for path in sorted(settings.quarantine.glob("*.jsonl")):
        remaining = sum(1 for _ in read_rows(settings, path.stem))
        edited = bool(updates) and any(updates.get(r.row, r) != r for r in read_rows(settings, path.stem))
        torn = _read_torn(path)
        if not remaining and not torn:
            path.unlink()
        elif edited or remaining < sum(1 for _ in _read_file(path)):
            with open_writer(settings, path.stem) as stream:
                for row in read_rows(settings, path.stem):
                    write_row(stream, updates.get(row.row, row))
                stream.writelines(torn)
