"""Compare files on disk with the hashes that ``dvc.lock`` records, which DVC's checkout does not.

Hashes are DVC's: MD5 of a file's bytes; for a folder, MD5 of the JSON list of its files' names and MD5s, ``.dir``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml


def read_recorded_hashes(workspace: Path) -> dict[str, str]:
    """Out → hash, as ``dvc.lock`` records them."""
    lock = yaml.safe_load((workspace / "dvc.lock").read_text()) or {}
    return {out["path"]: out["md5"] for stage in (lock.get("stages") or {}).values() for out in stage.get("outs", ())}


def find_changed_outs(workspace: Path) -> list[str]:
    """The outs whose content on disk is not what ``dvc.lock`` records."""
    return [
        path
        for path, expected in sorted(read_recorded_hashes(workspace).items())
        if compute_hash(workspace / path) != expected
    ]


def compute_hash(path: Path) -> str | None:
    """Hash a file or folder as DVC does; None where it does not exist."""
    if path.is_file():
        return _md5(path)
    if not path.is_dir():
        return None
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    listing = [{"md5": _md5(file), "relpath": name} for name, file in files]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
