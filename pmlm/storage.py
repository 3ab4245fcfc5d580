"""Atomic file writes, appended lines, and content hashes that a rerun reproduces."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import resource
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Prefix of the folders into which a running build spills what does not fit its memory.
SPILL_PREFIX = ".spill-"


@contextmanager
def atomic_write(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; rename it to ``path`` unless the block raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes, mode: int = 0o644) -> Path:
    with atomic_write(path, mode) as temporary:
        temporary.write_bytes(data)
    return path


def write_json(path: Path, value: Any, mode: int = 0o644) -> Path:
    """Write ``value`` as stable, sorted, indented JSON."""
    return write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, default=str) + "\n").encode(), mode)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


@contextmanager
def open_for_appending(path: Path) -> Iterator[int]:
    """A descriptor of ``path``, made with mode 600; :class:`OSError` where it is no regular file. Never blocks."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):  # a pipe would block, a device would swallow the line
            raise OSError(errno.EINVAL, "no regular file")
        yield handle
    finally:
        os.close(handle)


def append_lines(path: Path, lines: str) -> None:
    """Append whole lines or none, after a newline where the last line has none; processes may share the file."""
    with open_for_appending(path) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        data = b"\n" * torn + lines.encode()
        try:
            while data:
                data = data[os.write(handle, data) :]
        except OSError:
            os.ftruncate(handle, size)
            raise


def check_room(path: Path, size: int = 65536) -> None:
    """Raise :class:`OSError` where ``size`` bytes could not be appended, as far as that can be known."""
    with open_for_appending(path) as handle:
        system, (limit, _) = os.fstatvfs(handle), resource.getrlimit(resource.RLIMIT_FSIZE)
        if system.f_bavail * system.f_frsize < size:
            raise OSError(errno.ENOSPC, "the disk is full")
        if limit != resource.RLIM_INFINITY and os.fstat(handle).st_size + size > limit:
            raise OSError(errno.EFBIG, "the file is full")


def hash_files(paths: Iterable[Path]) -> str:
    """SHA-256 over names and bytes of files, folders in name order; 64 hex digits."""
    digest = hashlib.sha256()
    for root in sorted(Path(p) for p in paths):
        files = sorted(f for f in root.rglob("*") if f.is_file()) if root.is_dir() else [root]
        for file in files:
            if file.name.endswith(".part"):
                continue
            digest.update(str(file.relative_to(root.parent)).encode() + b"\0")
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
