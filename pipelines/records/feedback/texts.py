"""De-identify the texts of feedback, and remove them when they expire.

``quarantine/feedback/<id>.json`` (written by the endpoint) becomes ``feedback/texts/<id>.json``, mode 600; the
de-identified text is removed after ``PMLM_FEEDBACK_DAYS``. With a question goes its keyed hash (``asked``), by which
the night checks that it is the one that was answered.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.records.deidentify.identifier_index import IdentifierIndex
from pipelines.records.deidentify.scrub import Scrubber
from pipelines.records.read.coding import clean_text
from pmlm.settings import Settings
from pmlm.storage import write_json

log = logging.getLogger(__name__)

LONGEST = 8000  # characters of a text
WORDS = ("question", "edit", "comment")


def raw_folder(settings: Settings) -> Path:
    """The folder to which the endpoint writes raw texts."""
    return settings.quarantine / "feedback"


def text_folder(settings: Settings) -> Path:
    """The folder of the de-identified texts."""
    return settings.workspace / "feedback" / "texts"


def dispute_folder(settings: Settings) -> Path:
    """The folder of the disputes' log."""
    return settings.workspace / "feedback" / "disputes"


def list_raw_texts(settings: Settings) -> list[Path]:
    """The raw texts that no night has processed yet."""
    return sorted(raw_folder(settings).glob("*.json"))


def deidentify_texts(settings: Settings, night: str) -> None:
    """De-identify the raw texts; remove them, and texts older than the retention."""
    paths = list_raw_texts(settings)
    if paths:
        index = IdentifierIndex(settings)
        index.load(night)
        scrubber = Scrubber(index)
        for path in paths:
            try:
                text = _deidentify(settings, scrubber, path)
            except (ValueError, KeyError, TypeError):  # half of a text: it stays, and is deleted when it is old
                log.warning("quarantine/feedback/%s is torn: skipped", path.name)
                continue
            write_json(text_folder(settings) / path.name, text, mode=0o600)
            path.unlink()
    oldest = datetime.now(UTC) - timedelta(days=settings.feedback_days)
    for path in text_folder(settings).glob("*.json"):
        stored = read_text(settings, path.stem)
        if stored is None or datetime.fromisoformat(stored["received"]) < oldest:
            path.unlink()


def read_text(settings: Settings, id_: str) -> dict[str, Any] | None:
    """The de-identified texts of one piece of feedback and its question's hash; None where expired or torn."""
    path = text_folder(settings) / f"{id_}.json"
    try:
        found: Any = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and "received" in found else None


def _deidentify(settings: Settings, scrubber: Scrubber, path: Path) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(path.read_text())
    texts = {
        name: scrubber.scrub_message(clean_text(raw[name], LONGEST), raw["subject"]) for name in WORDS if name in raw
    }
    asked = {"asked": settings.pseudonym("question", raw["question"])} if "question" in raw else {}
    return {"id": raw["id"], "received": raw["received"], **texts, **asked}
