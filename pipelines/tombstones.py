"""Tombstones: who was erased, as salted hashes under the clinic's key, which name nobody.

    hash = BLAKE2b(clinic's key, salt, subject id)      seal = BLAKE2b(clinic's key, all other fields)

``erased/tombstones.json`` in the workspace has one entry per erased patient. Whoever has the key can tell whether a
given patient was erased, and nobody who has no key can. The seal shows an entry that was changed by hand.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pmlm.errors import ErasureError
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One erased patient: when, by whom and why; the releases and models that had learnt from them, by their ids."""

    hash: str
    at: str
    by: str
    why: str
    releases: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    seal: str = ""


def folder(settings: Settings) -> Path:
    """The folder of what erasures leave; neither Git nor DVC restores another version of it."""
    return settings.workspace / "erased"


def tombstones_path(settings: Settings) -> Path:
    return folder(settings) / "tombstones.json"


def list_tombstones(settings: Settings) -> list[Tombstone]:
    """All tombstones, oldest first; ``ErasureError`` where one was changed: erased patients could come back."""
    return [_check_entry(settings, entry) for entry in _read_file(settings)["tombstones"]]


def find_tombstone(settings: Settings, subject: int) -> Tombstone | None:
    """The tombstone of a patient; None for one who was not erased."""
    stored = _read_file(settings)
    wanted = _hash_subject(settings, stored["salt"], subject)
    return next((one for one in list_tombstones(settings) if one.hash == wanted), None)


def add_tombstone(settings: Settings, subject: int, stated: Tombstone) -> Tombstone:
    """Write the tombstone of a patient as ``stated``, hash and seal added; one that is there already stays as it is."""
    if (former := find_tombstone(settings, subject)) is not None:
        return former
    stored = _read_file(settings)
    unsealed = replace(stated, hash=_hash_subject(settings, stored["salt"], subject), seal="")
    entry = asdict(unsealed) | {"seal": _seal(settings, unsealed)}
    write_json(tombstones_path(settings), stored | {"tombstones": [*stored["tombstones"], entry]})
    return Tombstone(**entry)


def has_learnt(settings: Settings, model: str | None) -> bool:
    """Whether a model, by its id, learnt from a patient who was erased since: its training is not continued."""
    return any(model in one.models for one in list_tombstones(settings))


class ErasedPatients:
    """The erased patients: tells whether a subject id is one of theirs. False where nobody was erased."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hashes = frozenset(one.hash for one in list_tombstones(settings))
        self._salt: str = _read_file(settings)["salt"]

    def __contains__(self, subject: object) -> bool:
        if not isinstance(subject, int) or not self._hashes:
            return False
        return _hash_subject(self._settings, self._salt, subject) in self._hashes

    def __len__(self) -> int:
        return len(self._hashes)


def _read_file(settings: Settings) -> dict[str, Any]:
    path = tombstones_path(settings)
    if not path.exists():
        return {"salt": secrets.token_hex(16), "tombstones": []}
    try:
        stored = read_json(path)
        return {"salt": str(stored["salt"]), "tombstones": list(stored["tombstones"])}
    except (ValueError, KeyError, TypeError):
        raise _damaged() from None


def _check_entry(settings: Settings, entry: Any) -> Tombstone:
    try:
        found = Tombstone(**entry)
    except TypeError:
        raise _damaged() from None
    if found.seal != _seal(settings, found):
        raise _damaged()
    return found


def _damaged() -> ErasureError:
    return ErasureError("erased/tombstones.json was changed or damaged: restore it, or erased patients could come back")


def _hash_subject(settings: Settings, salt: str, subject: int) -> str:
    data = f"{salt} {subject}".encode()
    return blake2b(data, key=settings.hash_key[:64], digest_size=16, person=b"pmlm-erased").hexdigest()


def _seal(settings: Settings, one: Tombstone) -> str:
    data = json.dumps(asdict(one) | {"seal": ""}, sort_keys=True).encode()
    return blake2b(data, key=settings.hash_key[:64], digest_size=16, person=b"pmlm-tombstone").hexdigest()
