"""Atomic file writes, lines appended whole or not at all, reproducible content hashes.

State belongs to its owner alone: files have mode 600, folders 700, and what an older version left open is closed when
it is next written.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import resource
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Prefix of the folders into which a running build spills what does not fit its memory.
SPILL_PREFIX = ".spill-"
FILE_MODE, FOLDER_MODE, OTHERS = 0o600, 0o700, 0o077
#: Below these Git and DVC set modes of their own; the folder above is closed.
_OWN_MODES = frozenset({".git", ".dvc"})
#: An append waits so long for another's; a stopped process must not stop every other.
LOCK_PATIENCE_S = 1.0
_POLL_S = 0.002
#: How libraries written in Rust name an error of the system in errors of their own.
OS_ERROR = re.compile(r"\(os error (?P<number>\d+)\)")
_reported: set[tuple[Path, int]] = set()


@contextmanager
def atomic_write(path: Path, mode: int = FILE_MODE) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; rename it to ``path`` unless the block raises."""
    if not path.parent.is_dir():
        make_private_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        with raise_system_errors(path):
            yield temporary
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def raise_system_errors(path: Path) -> Iterator[None]:
    """Raise what a library says of a disk in an error of its own as the OSError that it is."""
    try:
        yield
    except Exception as error:
        found = None if isinstance(error, OSError) else OS_ERROR.search(str(error))
        if found is None:
            raise
        number = int(found["number"])
        raise OSError(number, os.strerror(number), str(path)) from error


def write_bytes(path: Path, data: bytes, mode: int = FILE_MODE) -> Path:
    with atomic_write(path, mode) as temporary:
        temporary.write_bytes(data)
    return path


def write_json(path: Path, value: Any, mode: int = FILE_MODE) -> Path:
    """Write ``value`` as stable, sorted, indented JSON."""
    return write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, default=str) + "\n").encode(), mode)


def append_lines(path: Path, lines: str) -> None:
    """Append whole lines or none, behind the newline that a killed writer did not write.

    Threads and processes may share the file. ``OSError`` where the lines cannot be written, which leaves the file as
    it was.
    """
    with open_locked(path, os.O_APPEND) as handle:
        end = os.fstat(handle).st_size
        torn = end > 0 and os.pread(handle, 1, end - 1) != b"\n"
        data = b"\n" * torn + lines.encode()
        try:
            while data:
                data = data[os.write(handle, data) :]
        except OSError:
            os.ftruncate(handle, end)
            raise


def check_room(path: Path, size: int = 65536) -> None:
    """Raise :class:`OSError` where ``size`` bytes could not be appended, as far as that can be known."""
    with open_private(path, os.O_APPEND) as handle:
        system, (limit, _) = os.fstatvfs(handle), resource.getrlimit(resource.RLIMIT_FSIZE)
        if system.f_bavail * system.f_frsize < size:
            raise OSError(errno.ENOSPC, "the disk is full")
        if limit != resource.RLIM_INFINITY and os.fstat(handle).st_size + size > limit:
            raise OSError(errno.EFBIG, "the file is full")


@contextmanager
def open_private(path: Path, flags: int = 0) -> Iterator[int]:
    """Open a file of mode 600 for reading and writing; :class:`OSError` where it is no regular one. Never blocks."""
    make_private_folder(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | flags, FILE_MODE)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):  # a pipe would block, a device would swallow the line
            raise OSError(errno.EINVAL, "no regular file", str(path))
        if stat.S_IMODE(found.st_mode) & OTHERS:
            with suppress(PermissionError):  # another user's, who lets us write it
                os.fchmod(handle, FILE_MODE)
        yield handle
    finally:
        os.close(handle)  # which unlocks it, as the end of the process does


@contextmanager
def open_locked(path: Path, flags: int = 0) -> Iterator[int]:
    """Open a private file, alone among those that open it so.

    ``TimeoutError``, an ``OSError``, where another process has it for too long.
    """
    with open_private(path, flags) as handle:
        _lock(handle, path)
        yield handle


def read_lines(path: Path, parse: Callable[[bytes], T]) -> Iterator[T]:
    """Parse every line; skip those that a killed writer left torn, and log how many.

    ``parse`` raises ``ValueError``, ``KeyError`` or ``TypeError`` for a line that is not whole.
    """
    torn = 0
    with path.open("rb") as stream:
        for line in stream:
            if not line.strip():
                continue
            try:
                value = parse(line)
            except (ValueError, KeyError, TypeError):
                torn += 1
            else:
                yield value
    if torn and (path, torn) not in _reported:
        _reported.add((path, torn))
        what = "line" if torn == 1 else "lines"
        log.warning("%s/%s: %d torn %s skipped", path.parent.name, path.name, torn, what)


def make_private_folder(path: Path) -> Path:
    """Create the folder and those above it with mode 700; close it to others where it is open."""
    try:
        mode = path.stat().st_mode  # once: every line that is appended anywhere comes by here
    except FileNotFoundError:
        mode = 0
    if not stat.S_ISDIR(mode):
        if not path.parent.exists():
            make_private_folder(path.parent)
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    elif stat.S_IMODE(mode) & OTHERS:
        with suppress(PermissionError):  # another user's, who lets us write in it
            path.chmod(FOLDER_MODE)
    return path


def set_private_umask() -> int:
    """Let this process and those it starts create files for their owner alone; the umask before."""
    return os.umask(OTHERS)


def close_to_others(root: Path) -> None:
    """Take from others what a folder of an older version lets them read; the folder itself last."""
    if not root.is_dir() or not stat.S_IMODE(root.stat().st_mode) & OTHERS:
        return
    for folder, names, files in os.walk(root, topdown=True):
        names[:] = [name for name in names if name not in _OWN_MODES]
        for path in (Path(folder, name) for name in (*files, *names)):
            mode = stat.S_IMODE(path.lstat().st_mode)
            if mode & OTHERS and not path.is_symlink():
                path.chmod(mode & ~OTHERS)
    root.chmod(FOLDER_MODE)


def _lock(handle: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "another process does not finish writing it", str(path)) from None
            time.sleep(_POLL_S)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


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
