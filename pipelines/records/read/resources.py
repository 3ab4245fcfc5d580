"""Read a drop resource by resource: NDJSON, Bundles, JSON arrays or MEDS data.

The content decides what a file is, not its name. Lines over the limit are skipped without loading them.
Files that are no FHIR (a manifest, a note, a picture) are listed by name and skipped.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from pipelines.records.read.archives import (
    BROKEN,
    is_zip,
    list_members,
    open_member,
    show_name,
    start_budget,
    unpack,
)
from pipelines.records.read.bundle import expand_bundle, stream_entries
from pipelines.records.read.json_keys import find_repeated_key
from pipelines.records.read.meds_rows import is_meds_file, read_meds_file
from pipelines.records.read.raw_resource import BYTE_ORDER_MARK, RawResource, ResourceError, parse_json
from pmlm.errors import RecordsError

_LINES = (".ndjson", ".jsonl")
_NAMED_FHIR = (".ndjson", ".jsonl", ".json", ".fhir")
_UNREADABLE = (*BROKEN, pa.ArrowInvalid)

_Line = tuple[int, bytes | None]
"""(1-based number, text); None for a line over the limit."""


def list_files(drop: Path) -> list[Path]:
    """The files of a drop and its sub-folders by name, without hidden files and ``clinic.yaml``."""
    if not drop.exists():
        raise RecordsError(f"{drop.name}: no such file or folder")
    if drop.is_file():
        return [drop]
    files = (f for f in drop.rglob("*") if f.is_file() and f.name != "clinic.yaml" and _lies_within(f, drop))
    return sorted(f for f in files if not any(p.startswith(".") for p in f.relative_to(drop).parts))


def _list_refused(drop: Path) -> list[Path]:
    """The links of a drop that lead out of it."""
    return sorted(f for f in drop.rglob("*") if not _lies_within(f, drop)) if drop.is_dir() else []


def _lies_within(file: Path, drop: Path) -> bool:
    """Whether a file is in the drop itself; a link may lead to another file of the drop only."""
    if not file.is_symlink():
        return True
    try:
        return file.resolve(strict=True).is_relative_to(drop.resolve())
    except (OSError, RuntimeError):
        return False


def read_resources(drop: Path, limit: int, skipped: list[str] | None = None) -> Iterator[RawResource]:
    """Yield every resource of a drop; append the names of files without any to ``skipped``.

    ``limit`` is the longest line to load, in bytes.
    """
    skipped = [] if skipped is None else skipped
    for link in _list_refused(drop):
        error = ResourceError("outside_drop", "the link leads out of the drop")
        yield RawResource(show_name(link.relative_to(drop)), 0, b"", error=error)
    for file in list_files(drop):
        name = show_name(file.name if drop.is_file() else file.relative_to(drop))
        try:
            if file.suffix == ".parquet":
                if is_meds_file(file):
                    yield from read_meds_file(file, name)
                else:
                    skipped.append(name)
                continue
            yield from _read_packed(file, name, limit, skipped)
        except ResourceError as refused:
            yield RawResource(name, 0, b"", error=ResourceError(refused.rule, refused.reason))
        except _UNREADABLE:
            error = ResourceError("unreadable_file", "the file ends or breaks before its end")
            yield RawResource(name, 0, b"", error=error)


def _read_packed(file: Path, name: str, limit: int, skipped: list[str]) -> Iterator[RawResource]:
    """Yield the resources of a file that may be gzip or a zip archive."""
    budget = start_budget(file.stat().st_size)
    with file.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0)
        if not is_zip(head):
            yield from _read_file(unpack(stream, head, budget), name, limit, skipped)
            return
        with zipfile.ZipFile(stream) as archive:
            for member in list_members(archive):
                inner = f"{name}/{show_name(member.filename)}"
                try:
                    with closing(open_member(archive, member, budget)) as part:
                        yield from _read_file(part, inner, limit, skipped)
                except ResourceError as refused:
                    yield RawResource(inner, 0, b"", error=ResourceError(refused.rule, refused.reason))
                    if refused.rule == "archive_too_large":
                        return
                except _UNREADABLE:
                    broken = ResourceError("unreadable_file", "the member ends or breaks before its end")
                    yield RawResource(inner, 0, b"", error=broken)


def _read_file(stream: IO[bytes], name: str, limit: int, skipped: list[str]) -> Iterator[RawResource]:
    plain = name.removesuffix(".gz")
    lines = _read_lines(stream, limit)
    first = next(lines, None)
    if first is None:
        return
    if not _starts_json(first[1]) and not plain.endswith(_NAMED_FHIR):
        skipped.append(name)
        return
    value = parse_json(first[1])
    second = next(lines, None)
    if value is None and not plain.endswith(_LINES) and _is_document(first[1], second):
        stream.seek(0)
        yield from stream_entries(stream, name, limit, skipped)
        return
    if second is None and isinstance(value, dict) and "resourceType" not in value and not plain.endswith(_LINES):
        skipped.append(name)  # a one-line JSON file of another kind, such as an export's manifest
        return
    yield from _read_line(first, name, value)
    if second is not None:
        yield from _read_line(second, name, parse_json(second[1]))
    for line in lines:
        yield from _read_line(line, name, parse_json(line[1]))


def _read_lines(stream: IO[bytes], limit: int) -> Iterator[_Line]:
    """Yield the numbered lines that are not blank."""
    number = 0
    while data := stream.readline(limit + 1):
        number += 1
        if len(data) > limit and not data.endswith(b"\n"):
            while (rest := stream.readline(1 << 20)) and not rest.endswith(b"\n"):
                pass
            yield number, None
            continue
        if number == 1:
            data = data.removeprefix(BYTE_ORDER_MARK)
        if stripped := data.strip():
            yield number, stripped


def _starts_json(data: bytes | None) -> bool:
    return data is None or data[:1] in (b"{", b"[")


def _is_document(first: bytes | None, second: _Line | None) -> bool:
    """Whether a first line that is no JSON opens a multi-line document, not broken NDJSON."""
    if first is None or first == b"[" or (b'"Bundle"' in first and first.endswith((b"[", b"{", b",", b":"))):
        return True
    if second is None:
        return re.match(rb'^[{\[]\s*$|^\{.*"resourceType"\s*:\s*"Bundle"', first, re.S) is not None
    return second[1] is not None and not second[1].startswith(b"{")


def _read_line(line: _Line, name: str, value: Any) -> Iterator[RawResource]:
    number, data = line
    if data is None:
        error = ResourceError("line_too_long", "the line is longer than PMLM_MAX_LINE_MB")
        yield RawResource(name, number, b"", error=error)
    elif value is None:
        yield RawResource(name, number, data, error=ResourceError("invalid_json", "the line is not valid JSON"))
    elif isinstance(value, list) or (isinstance(value, dict) and value.get("resourceType") == "Bundle"):
        if find_repeated_key(data, value):
            yield from stream_entries(BytesIO(data), name, len(data) + 1, [])  # each entry is checked by itself
        else:
            yield from expand_bundle(value, name, number)
    elif isinstance(value, dict):
        yield RawResource(name, number, data, resource=value)
    else:
        yield RawResource(name, number, data, error=ResourceError("not_an_object", "the line is no JSON object"))
