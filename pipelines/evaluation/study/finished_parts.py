"""Store a finished part's rows by a hash of everything they depend on.

``metrics/study/<part>-<hash>.json`` has a part's rows. A run that was stopped goes on after its last finished part, and
a run of some rows adds to those of others. The hash covers the code, the parameters, the options and the part's inputs.
A part that the budget cut short is not stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.study.selection import StudyPart
from pipelines.params import load_params
from pipelines.records.log import ledger
from pmlm.settings import PROJECT, Settings
from pmlm.storage import hash_files, read_json, write_json

CODE = ("models", "pipelines", "feature_repo")


class FinishedParts:
    """The stored rows of one clinic, for one set of options."""

    def __init__(self, settings: Settings, options: dict[str, Any], files: Sequence[Path]) -> None:
        self._settings = settings
        self._shared = json.dumps(
            [
                _hash_code(),
                load_params(settings).model_dump(exclude={"night"}),
                [settings.scorer, settings.scorer_model, settings.judge_model, settings.k_anonymity],
                options,
            ],
            sort_keys=True,
            default=str,
        )
        self._files = [path for path in files if path.exists()]
        self._hashes: dict[str, str] = {}

    def load(self, part: StudyPart) -> list[MetricRow] | None:
        """Load a part's rows; None where it was not finished with these inputs."""
        path = self._path(part)
        return [MetricRow(**row) for row in read_json(path)] if path.exists() else None

    def store(self, part: StudyPart, rows: Sequence[MetricRow]) -> None:
        """Store a part's rows."""
        write_json(self._path(part), [row.json() for row in rows])

    def _path(self, part: StudyPart) -> Path:
        inputs = [self._hash_input(name) for name in part.inputs]
        digest = hashlib.sha256("\0".join([self._shared, *inputs]).encode()).hexdigest()[:16]
        return self._settings.metrics / "study" / f"{part.name.replace(' ', '_')}-{digest}.json"

    def _hash_input(self, name: str) -> str:
        if name not in self._hashes:
            self._hashes[name] = self._read_input(name)
        return self._hashes[name]

    def _read_input(self, name: str) -> str:
        settings = self._settings
        challenger = settings.models / "challenger"
        if name == "events":  # batches are named by their content
            return "\n".join(path.name for path in ledger.list_batches(settings))
        paths = {
            "episodes": [settings.episodes],
            "refiner": [challenger if challenger.exists() else settings.models / "champion"],
            "training": [settings.metrics / "train.json"],
            "files": self._files,
        }[name]
        return hash_files(path for path in paths if path.exists())


@cache
def _hash_code() -> str:
    """Hash the code that measures, so that a new version measures again."""
    return hash_files(p for folder in CODE for p in (PROJECT / folder).rglob("*") if p.suffix in (".py", ".yaml"))
