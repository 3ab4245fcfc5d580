"""Read a drop resource by resource: NDJSON, Bundles, JSON arrays, plain or gzipped, in any file naming.

What a file is, is decided by its content. A line longer than the limit is passed over without being held.
Files that are no FHIR (a manifest, a note, a picture) are counted by name and left alone.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import orjson

from pipelines.records.read.bundle import expand_bundle, stream_entries
from pipelines.records.read.raw_resource import RawResource, ResourceError
from pmlm.errors import RecordsError

_LINES = (".ndjson", ".jsonl")
_NAMED_FHIR = (".ndjson", ".jsonl", ".json", ".fhir")
_UNREADABLE = (EOFError, OSError, zlib.error)


def list_files(drop: Path) -> list[Path]:
    """The files of a drop in name order, sub-folders included, hidden ones and the clinic's manifest left out."""
    if not drop.exists():
        raise RecordsError(f"{drop.name}: no such file or folder")
    if drop.is_file():
        return [drop]
    found = (f for f in drop.rglob("*") if f.is_file() and f.name != "clinic.yaml")
    return sorted(f for f in found if not any(p.startswith(".") for p in f.relative_to(drop).parts))


def read_resources(drop: Path, limit: int, skipped: list[str] | None = None) -> Iterator[RawResource]:
    """Every resource of a drop; names of files that hold none are appended to ``skipped``.

    ``limit`` is the longest line held in memory, in bytes.
    """
    for file in list_files(drop):
        name = file.name if drop.is_file() else file.relative_to(drop).as_posix()
        try:
            with _open_file(file) as stream:
                yield from _read_file(stream, name, limit, skipped if skipped is not None else [])
        except _UNREADABLE:
            yield RawResource(
                name, 0, b"", broken=ResourceError("unreadable_file", "the file ends or breaks before its end")
            )


def _open_file(file: Path) -> IO[bytes]:
    with file.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(file, "rb")) if packed else file.open("rb")


def _read_file(stream: IO[bytes], name: str, limit: int, skipped: list[str]) -> Iterator[RawResource]:
    plain = name.removesuffix(".gz")
    lines = _read_lines(stream, limit)
    head = next(lines, None)
    if head is None:
        return
    if not _starts_json(head[1]) and not plain.endswith(_NAMED_FHIR):
        skipped.append(name)
        return
    value = _parse(head[1])
    following = next(lines, None)
    if value is None and not plain.endswith(_LINES) and _is_document(head[1], following):
        stream.seek(0)
        yield from stream_entries(stream, name, limit, skipped)
        return
    if following is None and isinstance(value, dict) and "resourceType" not in value and not plain.endswith(_LINES):
        skipped.append(name)  # a one-line JSON file of another kind, such as an export's manifest
        return
    yield from _read_line(head, name, value)
    if following is not None:
        yield from _read_line(following, name, _parse(following[1]))
    for line in lines:
        yield from _read_line(line, name, _parse(line[1]))


def _read_lines(stream: IO[bytes], limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Numbered non-blank lines; None stands for a line over the limit."""
    number = 0
    while raw := stream.readline(limit + 1):
        number += 1
        if len(raw) > limit and not raw.endswith(b"\n"):
            while (rest := stream.readline(1 << 20)) and not rest.endswith(b"\n"):
                pass
            yield number, None
            continue
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if stripped := raw.strip():
            yield number, stripped


def _parse(raw: bytes | None) -> Any:
    """The JSON value of a line, or None where there is none."""
    try:
        return None if raw is None else orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _starts_json(raw: bytes | None) -> bool:
    return raw is None or raw[:1] in (b"{", b"[")


def _is_document(first: bytes | None, second: tuple[int, bytes | None] | None) -> bool:
    """Whether a first line that is no JSON opens one document over several lines, not broken NDJSON."""
    if first is None or first == b"[":
        return True
    if second is None:
        return re.match(rb'^[{\[]\s*$|^\{.*"resourceType"\s*:\s*"Bundle"', first, re.S) is not None
    return second[1] is not None and not second[1].startswith(b"{")


def _read_line(line: tuple[int, bytes | None], name: str, value: Any) -> Iterator[RawResource]:
    number, raw = line
    if raw is None:
        yield RawResource(
            name, number, b"", broken=ResourceError("line_too_long", "the line is longer than PMLM_MAX_LINE_MB")
        )
    elif value is None:
        yield RawResource(name, number, raw, broken=ResourceError("invalid_json", "the line is not valid JSON"))
    elif isinstance(value, list) or (isinstance(value, dict) and value.get("resourceType") == "Bundle"):
        yield from expand_bundle(value, name, number)
    elif isinstance(value, dict):
        yield RawResource(name, number, raw, resource=value)
    else:
        yield RawResource(name, number, raw, broken=ResourceError("not_an_object", "the line is no JSON object"))
