"""Store the clinic's trajectory model in ``models/trajectory/<version>``, named by ``current.json``.

A new version is written whole before ``current.json`` names it: a reader has the old one or the new one.
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
    """Read ``current.json`` (``version``, ``night``, figures); empty before the first night."""
    path = model_folder(settings) / CURRENT
    return dict(read_json(path)) if path.exists() else {}


def read_version(settings: Settings) -> str | None:
    """Read the version in use; None without a model."""
    return read_manifest(settings).get("version")


def load_model(settings: Settings) -> Forecaster | None:
    """Load the model in use; None without one, ``TrainingError`` where it is damaged."""
    version = read_version(settings)
    if version is None:
        return None
    try:
        return _load_cached(model_folder(settings) / version)
    except (OSError, ValueError) as error:
        raise TrainingError(f"the trajectory model cannot be read: {error}") from error


@lru_cache(maxsize=2)
def _load_cached(path: Path) -> Forecaster:
    from models.patient import forecaster  # imports torch and transformers, which reading a version need not

    return forecaster.load_forecaster(path)


def install_model(settings: Settings, model: Forecaster | None, figures: dict[str, Any]) -> None:
    """Make a model the version in use (None: there is none), and delete the others."""
    from models.patient import forecaster

    home = model_folder(settings)
    home.mkdir(parents=True, exist_ok=True)
    if model is not None and not (home / model.version).exists():
        staging = home / f".{secrets.token_hex(4)}.part"
        staging.mkdir()
        forecaster.save_forecaster(staging, model)
        staging.replace(home / model.version)
    write_json(home / CURRENT, {"version": model and model.version, **figures})
    for other in home.iterdir():
        if other.is_dir() and (model is None or other.name != model.version):
            shutil.rmtree(other)
