"""The manifest of a release: everything an answer was made with, under one content id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pmlm.errors import ServingError

BENTO_NAME = "pmlm"
MODEL_NAME = "pmlm_release"
MANIFEST = "release.json"
REFINER = "refiner"
RANKER = "ranker"
DRAFTS = "drafts"
CODE = "code.sha256"  # in a bento: the hash of its code and of the packages that it needs
NO_RELEASE = "there is no release yet: run `pmlm package` (or `pmlm night`)"


class Release(BaseModel, extra="forbid"):
    """``release.json``: what the endpoint serves and where each part came from.

    ``refiner`` is the champion's id, ``ranker`` that of the initial ranking (None: nearness to the question, also in
    releases of earlier versions), ``episodes`` the content hash of the episodes of that night (None where the clinic
    has none), ``events`` each event batch with its own hash and that of the drop it was read from.
    """

    id: str
    night: str
    experiment: str
    as_of: str
    refiner: str
    refiner_kind: str
    encoder: str
    template: str
    feature_service: str
    feature_schema: str
    ranker: str | None = None
    llm: str
    params: dict[str, dict[str, Any]]
    episodes: str | None
    events: dict[str, dict[str, str]]

    @property
    def version(self) -> str:
        """The version under which BentoML keeps the release's model and bento."""
        return f"{self.night}-{self.id}"

    @property
    def bento(self) -> str:
        return f"{BENTO_NAME}:{self.version}"


def read_release(folder: Path) -> Release:
    """Read the release in ``folder``; :class:`ServingError` where there is none."""
    path = folder / MANIFEST
    if not path.exists():
        raise ServingError(NO_RELEASE)
    return Release.model_validate(json.loads(path.read_text()))
