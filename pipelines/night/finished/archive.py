"""Pack what a night has made into one file, and unpack it.

The file holds the workspace's data, served and former models, metrics and summaries; what can be made from them in
seconds (the online store, the release, its bento), a challenger, and what is only looked at (reports) are not in it.
Its first member, ``manifest.json``, names the versions of the code and the drops that it was made from, and the SHA-256
of every file.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

from feature_repo.store import services
from models.encoder import MiniLM
from models.refiner.policy_config import VERSION
from models.schema import EVENT_SCHEMA
from models.templates import TEMPLATE_VERSION
from pipelines.records import drops
from pipelines.records.log import ledger
from pmlm.errors import NightError
from pmlm.settings import PROJECT, Settings
from pmlm.storage import atomic_write, hash_files, write_json

ARCHIVE = PROJECT / "examples" / "finished_night.tar.xz"
MANIFEST = "manifest.json"
#: What is packed, relative to the workspace. The ledger comes last: with it the night counts as taken in.
MODELS = ("models/champion", "models/registry", "models/trajectory", "models/drafts")
PARTS = ("clock.json", "history", "metrics", *MODELS, "runs", "data")
#: In the workspace: the night that was unpacked here, not run. It comes in one rename with the ledger.
MARK = "data/unpacked_night.json"


def describe_code(settings: Settings) -> dict[str, Any]:
    """What an archive must have been made with to be served by this code, of this clinic."""
    events = hashlib.sha256(str(EVENT_SCHEMA).encode()).hexdigest()[:16]
    return {
        "clinic": settings.clinic,
        "drops": {drop.night: hash_files([drop.path]) for drop in drops.list_drops(settings)},
        "manifest": hash_files([settings.drops / "clinic.yaml"]),
        "events": events,
        "features": services.hash_schema(),
        "encoder": MiniLM.id,
        "template": TEMPLATE_VERSION,
        "refiner": VERSION,
    }


def pack_night(settings: Settings, target: Path = ARCHIVE) -> dict[str, Any]:
    """Pack the workspace's last night into ``target``; returns its manifest."""
    nights = sorted(path.stem for path in ledger.folder(settings).glob("[0-9]*.json"))
    if not nights:
        raise NightError("no night has been taken in that could be packed")
    found = {path for part in PARTS for path in _list_files(settings.workspace / part)}
    files = sorted(found - {settings.workspace / MARK})
    names = [str(path.relative_to(settings.workspace)) for path in files]
    manifest = {
        "night": nights[-1],
        "made_with": describe_code(settings),
        "files": {name: _hash(path.read_bytes()) for name, path in zip(names, files, strict=True)},
    }
    with atomic_write(target, 0o644) as part, tarfile.open(part, "w:xz", preset=6) as archive:
        _add(archive, MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
        for name, path in zip(names, files, strict=True):
            _add(archive, name, path.read_bytes())
    return manifest


def read_manifest(source: Path = ARCHIVE) -> dict[str, Any]:
    """The manifest of an archive; NightError where there is none."""
    if not source.exists():
        raise NightError(f"there is no {source.name}: `make finished-night` makes it, `make night` runs a night")
    with tarfile.open(source) as archive:
        first = archive.next()
        stream = archive.extractfile(first) if first is not None and first.name == MANIFEST else None
        if stream is None:
            raise NightError(f"{source.name} is no finished night")
        found: dict[str, Any] = json.loads(stream.read())
        return found


def find_differences(settings: Settings, source: Path = ARCHIVE) -> list[str]:
    """The names of what this code or clinic has otherwise than the archive was made with."""
    made_with, present = read_manifest(source)["made_with"], describe_code(settings)
    return [name for name, value in present.items() if made_with.get(name) != value]


def unpack_night(settings: Settings, source: Path = ARCHIVE) -> str:
    """Unpack the archive into a workspace without a night; returns the night.

    NightError where it was made with other code or another clinic, or a file of it is not the one that was packed. A
    killed call leaves no night behind, and the next one begins again.
    """
    if differences := find_differences(settings, source):
        raise NightError(
            f"{source.name} was made with another version ({', '.join(differences)}): `make night` runs a night instead"
        )
    manifest, staging = read_manifest(source), settings.workspace / ".finished.part"
    shutil.rmtree(staging, ignore_errors=True)
    with tarfile.open(source) as archive:
        archive.extractall(staging, filter="data")
    for name, expected in manifest["files"].items():
        if not (staging / name).is_file() or _hash((staging / name).read_bytes()) != expected:
            raise NightError(f"{source.name} is damaged: {name}")
    night = str(manifest["night"])
    write_json(staging / MARK, {"night": night, "archive": source.name})
    for part in PARTS:
        target = settings.workspace / part
        if target.is_dir():
            shutil.rmtree(target)
        if (staging / part).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            (staging / part).replace(target)
    shutil.rmtree(staging)
    return night


def _list_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file() and not p.is_symlink()]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file whose owner, rights and time are nobody's, so that the same night makes the same archive."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    archive.addfile(member, io.BytesIO(content))
