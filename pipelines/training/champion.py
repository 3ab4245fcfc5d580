"""Promote, roll back and read the champion: the refiner that is served.

``models/champion/`` has the refiner's files and ``champion.json``: ``{id, kind, since, previous, refused}``. ``since``
is the night it became champion, ``previous`` the former champions' ids, oldest first, ``refused`` the ids that were
rolled back and are not promoted again. Former champions are archived in ``models/registry/<id>/``, a challenger that
waits for a person is in ``models/waiting/``. Folders are replaced atomically, and every change is written down
(``champion_history``). The first champion is the initial ranking cut to the caps.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.refiner import checkpoint
from models.refiner.interface import Caps
from pipelines.training.champion_history import GATE, record_change
from pipelines.training.provenance import SEEDS, WARM_START, current_provenance
from pmlm.errors import TrainingError
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json

RECORD = "champion.json"
WAITING = "waiting.json"


@dataclass(frozen=True, slots=True)
class Champion:
    """The record of a champion, as in ``champion.json``."""

    id: str
    kind: str
    since: str
    previous: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def champion_folder(settings: Settings) -> Path:
    return settings.models / "champion"


def registry_folder(settings: Settings, id: str) -> Path:
    return settings.models / "registry" / id


def waiting_folder(settings: Settings) -> Path:
    return settings.models / "waiting"


def read_champion(settings: Settings) -> Champion | None:
    """Read the champion; None before the first gate."""
    recover_folder(champion_folder(settings))
    record = champion_folder(settings) / RECORD
    return _read_record(record) if record.exists() else None


def find_incumbent(settings: Settings, night: str) -> Champion | None:
    """Find the champion before this night, which its challenger faces, also in a rerun."""
    champion = read_champion(settings)
    while champion is not None and champion.since == night and champion.previous:
        champion = _read_record(registry_folder(settings, champion.previous[-1]) / RECORD)
    return champion


def find_champion_folder(settings: Settings, champion: Champion) -> Path:
    """Find a champion's files: in place, or in the registry."""
    now = read_champion(settings)
    return (
        champion_folder(settings)
        if now is not None and now.id == champion.id
        else registry_folder(settings, champion.id)
    )


def ensure_champion(settings: Settings, night: str, caps: Caps) -> Champion:
    """Return the champion; the ranking becomes the first one."""
    champion = read_champion(settings)
    if champion is None:
        with replace_folder(champion_folder(settings)) as part:
            checkpoint.save_ranking(part, caps, current_provenance())
            champion = Champion(id="ranking", kind="ranking", since=night)
            write_json(part / RECORD, asdict(champion))
        record_change(settings, "first", None, champion.id, by=GATE, why="the first champion", night=night)
    return champion


def promote(
    settings: Settings, night: str, challenger: Path, by: str = GATE, why: str = "significantly better"
) -> Champion:
    """Make the refiner in ``challenger`` the champion, and write down who did and why; idempotent."""
    before = read_champion(settings)
    description = checkpoint.read_description(challenger)
    if before is None:
        raise TrainingError("there is no champion to replace")
    if before.id == description["id"]:
        last = before.previous[-1] if before.previous else None
        record_change(settings, "promote", last, before.id, by=by, why=why, night=night)  # of a killed run
        return before
    _archive(settings, before)
    after = Champion(
        id=description["id"],
        kind=description["kind"],
        since=night,
        previous=(*before.previous, before.id),
        refused=before.refused,
    )
    _install(settings, after, challenger)
    record_change(settings, "promote", before.id, after.id, by=by, why=why, night=night)
    return after


def roll_back(settings: Settings, to: str | None = None, by: str = "unknown", why: str = "") -> Champion:
    """Restore the former champion ``to`` (by default the last), refuse the later ones, and write down who did and why.

    Raises TrainingError where there is none, or its files are missing.
    """
    now = read_champion(settings)
    if now is None or not now.previous:
        raise TrainingError("there is no former champion to go back to")
    target = to or now.previous[-1]
    if target not in now.previous:
        raise TrainingError(f"{target} was never champion before this one; former: {', '.join(now.previous)}")
    archived = registry_folder(settings, target)
    if not (archived / RECORD).exists():
        raise TrainingError(f"the files of {target} are not in {archived}: it cannot be served again")
    _archive(settings, now)
    place = now.previous.index(target)
    former = _read_record(archived / RECORD)
    left = (*now.previous[place + 1 :], now.id)
    after = Champion(
        id=former.id,
        kind=former.kind,
        since=former.since,
        previous=now.previous[:place],
        refused=tuple(sorted({*now.refused, *left})),
    )
    _install(settings, after, archived)
    record_change(settings, "rollback", now.id, after.id, by=by, why=why, night=after.since)
    return after


def store_waiting(settings: Settings, challenger: Path, record: dict[str, Any]) -> None:
    """Store a challenger that waits for a person, with the gate's ``record`` of it; it replaces an earlier one."""
    with replace_folder(waiting_folder(settings)) as part:
        shutil.copytree(challenger, part, dirs_exist_ok=True, ignore=shutil.ignore_patterns(WARM_START, SEEDS))
        write_json(part / WAITING, record)


def read_waiting(settings: Settings) -> dict[str, Any] | None:
    """Read the gate's record of the challenger that waits; None where none does."""
    recover_folder(waiting_folder(settings))
    path = waiting_folder(settings) / WAITING
    return dict(read_json(path)) if path.exists() else None


def drop_waiting(settings: Settings) -> None:
    """Let no challenger wait any more."""
    shutil.rmtree(waiting_folder(settings), ignore_errors=True)


def _install(settings: Settings, champion: Champion, files: Path) -> None:
    with replace_folder(champion_folder(settings)) as part:
        shutil.copytree(files, part, dirs_exist_ok=True, ignore=shutil.ignore_patterns(WARM_START, SEEDS))
        write_json(part / RECORD, asdict(champion))


def _archive(settings: Settings, champion: Champion) -> None:
    """Copy the current champion with its record into the registry."""
    with replace_folder(registry_folder(settings, champion.id)) as part:
        shutil.copytree(champion_folder(settings), part, dirs_exist_ok=True)


def _read_record(record: Path) -> Champion:
    found = read_json(record)
    return Champion(**found | {"previous": tuple(found["previous"]), "refused": tuple(found["refused"])})


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces ``target`` when the block ends without error.

    Two renames: if the process dies between them ``recover_folder`` puts the old one back.
    """
    recover_folder(target)
    part, old = _sibling(target, "part"), _sibling(target, "old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        if target.exists():
            target.rename(old)
        part.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def recover_folder(target: Path) -> None:
    """Undo a replacement that was killed halfway; clean up after a finished one."""
    old = _sibling(target, "old")
    if old.exists():
        if target.exists():
            shutil.rmtree(old)
        else:
            old.rename(target)


def _sibling(target: Path, what: str) -> Path:
    return target.with_name(f".{target.name}.{what}")
