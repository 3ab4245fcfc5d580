"""Open packed files within bounds: gzip, and the members of a zip archive.

What a small file unpacks to is bounded, and an archive's paths are names only: nothing is written to disk.
"""

from __future__ import annotations

import gzip
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from pipelines.records.read.raw_resource import ResourceError

#: NDJSON packs ten- to fiftyfold; a file may unpack to this many times its size, and to ``ALLOWANCE`` bytes more.
EXPANSION = 200
ALLOWANCE = 64 << 20
MOST_MEMBERS = 10_000
BROKEN = (EOFError, OSError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


class BoundedStream:
    """A binary stream that raises ``ResourceError`` beyond ``budget`` unpacked bytes in all."""

    def __init__(self, stream: IO[bytes], budget: list[int]) -> None:
        self._stream, self._budget = stream, budget

    def read(self, size: int = -1) -> bytes:
        return self._count(self._stream.read(size))

    def readline(self, size: int = -1) -> bytes:
        return self._count(self._stream.readline(size))

    def seek(self, position: int) -> int:
        return self._stream.seek(position)

    def close(self) -> None:
        self._stream.close()

    def _count(self, data: bytes) -> bytes:
        self._budget[0] -= len(data)
        if self._budget[0] < 0:
            raise ResourceError("archive_too_large", "the file unpacks to far more than its size")
        return data


def is_zip(head: bytes) -> bool:
    """Whether a file's first bytes open a zip archive."""
    return head.startswith(_ZIP)


def unpack(stream: IO[bytes], head: bytes, budget: list[int]) -> IO[bytes]:
    """The stream itself, or what it unpacks to where its first bytes are gzip's."""
    if not head.startswith(_GZIP):
        return stream
    return cast(IO[bytes], BoundedStream(cast(IO[bytes], gzip.open(stream, "rb")), budget))


def start_budget(size: int) -> list[int]:
    """The number of bytes that a packed file of ``size`` bytes may unpack to."""
    return [size * EXPANSION + ALLOWANCE]


def list_members(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """Yield the files of an archive by name, without hidden ones; ``ResourceError`` where there are too many."""
    members = sorted((m for m in archive.infolist() if not m.is_dir()), key=lambda m: m.filename)
    if len(members) > MOST_MEMBERS:
        raise ResourceError("archive_too_large", "the archive has too many members")
    for member in members:
        parts = PurePosixPath(member.filename).parts
        if not any((p.startswith(".") and p != "..") or p == "__MACOSX" for p in parts):
            yield member


def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: list[int]) -> IO[bytes]:
    """Open a member; ``ResourceError`` for a link, an unsafe path, a password or an archive within the archive."""
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
        raise ResourceError("unsafe_path", "the member's path leads out of the archive")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ResourceError("outside_drop", "the member is a link")
    if member.flag_bits & 1:
        raise ResourceError("unreadable_file", "the member is encrypted")
    with archive.open(member) as stream:
        head = stream.read(len(_ZIP))
    if is_zip(head):
        raise ResourceError("nested_archive", "the member is an archive itself")
    bounded = cast(IO[bytes], BoundedStream(archive.open(member), budget))
    if head.startswith(_GZIP):  # gzip needs a whole file object below it
        return unpack(archive.open(member), head, budget)
    return bounded


def show_name(path: str | Path) -> str:
    """A file's name as text: bytes that are no UTF-8, and control characters, are written as ``\\xff``."""
    text = str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
