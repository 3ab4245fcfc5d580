"""Where the clinic's trajectory model lies: ``models/trajectory/<version>``, and ``current.json``, which names it.

A new version is written whole beside the old one before ``current.json`` names it: a reader has one or the other.
"""

from __future__ import annotations

import secrets
import shutil
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmlm.errors import TrainingError
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json

if TYPE_CHECKING:
    from models.patient.forecaster import Forecaster

CURRENT = "current.json"


def model_folder(settings: Settings) -> Path:
    return settings.models / "trajectory"


def read_manifest(settings: Settings) -> dict[str, Any]:
    """What ``current.json`` says (``read_version``, ``night``, figures); empty before the first night."""
    path = model_folder(settings) / CURRENT
    return dict(read_json(path)) if path.exists() else {}


def read_version(settings: Settings) -> str | None:
    """The version in use; None where there is no model."""
    return read_manifest(settings).get("version")


def load_model(settings: Settings) -> Forecaster | None:
    """The model in use; None where there is none, ``TrainingError`` where it is damaged."""
    named = read_version(settings)
    if named is None:
        return None
    try:
        return _load_cached(model_folder(settings) / named)
    except (OSError, ValueError) as error:
        raise TrainingError(f"the trajectory model cannot be read: {error}") from error


@lru_cache(maxsize=2)
def _load_cached(path: Path) -> Forecaster:
    from models.patient import forecaster  # with torch and transformers, which a version's name needs not

    return forecaster.load_forecaster(path)


def install_model(settings: Settings, made: Forecaster | None, figures: dict[str, Any]) -> None:
    """Make ``made`` the version in use (None: there is no model), then forget the others."""
    from models.patient import forecaster

    home = model_folder(settings)
    home.mkdir(parents=True, exist_ok=True)
    if made is not None and not (home / made.version).exists():
        staging = home / f".{secrets.token_hex(4)}.part"
        staging.mkdir()
        forecaster.save_forecaster(staging, made)
        staging.replace(home / made.version)
    write_json(home / CURRENT, {"version": made and made.version, **figures})
    for other in home.iterdir():
        if other.is_dir() and (made is None or other.name != made.version):
            shutil.rmtree(other)
