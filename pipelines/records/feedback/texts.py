"""The words of feedback: raw in quarantine until a night takes the names out, then de-identified until they expire.

``quarantine/feedback/<id>.json`` (written by the endpoint) becomes ``feedback/texts/<id>.json``, mode 600, and is
removed; after ``PMLM_FEEDBACK_DAYS`` the de-identified text is removed too. Of a question, its keyed hash is kept
beside its words (``asked``), by which the night knows that it is the one that was answered.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.records.deidentify.identifier_index import IdentifierIndex
from pipelines.records.deidentify.scrub import Scrubber
from pipelines.records.read.coding import clean_text
from pmlm.settings import Settings
from pmlm.storage import write_json

LONGEST = 8000
WORDS = ("question", "edit", "comment")


def raw_folder(settings: Settings) -> Path:
    """Where the endpoint lays what people wrote."""
    return settings.quarantine / "feedback"


def text_folder(settings: Settings) -> Path:
    """Where the de-identified words are kept."""
    return settings.workspace / "feedback" / "texts"


def list_raw_texts(settings: Settings) -> list[Path]:
    """Raw texts that no night has read yet."""
    return sorted(raw_folder(settings).glob("*.json"))


def deidentify_texts(settings: Settings, night: str) -> None:
    """De-identify what waits, then forget the raw texts and what is older than the retention."""
    found = list_raw_texts(settings)
    if found:
        names = IdentifierIndex(settings)
        names.load(night)
        scrubber = Scrubber(names)
        for path in found:
            write_json(text_folder(settings) / path.name, _deidentify(settings, scrubber, path), mode=0o600)
            path.unlink()
    oldest = datetime.now(UTC) - timedelta(days=settings.feedback_days)
    for path in text_folder(settings).glob("*.json"):
        if datetime.fromisoformat(json.loads(path.read_text())["received"]) < oldest:
            path.unlink()


def read_text(settings: Settings, id_: str) -> dict[str, Any] | None:
    """The de-identified words under a line's id, with the hash of the question as it was asked; None where expired."""
    path = text_folder(settings) / f"{id_}.json"
    return json.loads(path.read_text()) if path.exists() else None


def _deidentify(settings: Settings, scrubber: Scrubber, path: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(path.read_text())
    words = {name: scrubber.message(clean_text(held[name], LONGEST), held["subject"]) for name in WORDS if name in held}
    asked = {"asked": settings.pseudonym("question", held["question"])} if "question" in held else {}
    return {"id": held["id"], "received": held["received"], **words, **asked}
