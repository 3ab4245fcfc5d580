"""The numbers of the method: the project's ``params.yaml``, with the clinic's overrides on top."""

from __future__ import annotations

from typing import Any

import yaml

from pmlm.errors import SettingsError
from pmlm.settings import PROJECT, Settings


def load_params(settings: Settings) -> dict[str, dict[str, Any]]:
    """Project defaults merged with the manifest's ``params``; an unknown section or name is an error."""
    params: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "params.yaml").read_text())
    for section, values in settings.manifest.params.items():
        for name, value in values.items():
            if name not in params.get(section, {}):
                raise SettingsError(f"clinic.yaml: params.{section}.{name} is not a parameter of params.yaml")
            params[section][name] = value
    return params
