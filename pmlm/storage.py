"""Atomic file writes, and content hashes that a rerun reproduces."""

from __future__ import annotations

import hashlib
import json
import os
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
