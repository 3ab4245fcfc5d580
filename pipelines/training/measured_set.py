"""Choose the episodes to measure: those of earlier nights, and new ones within the budget.

    measured(night) = measured(earlier nights) ∪ new,   evaluations(new) ≤ ``gain_evaluations``

Scores of earlier nights are cached, so they cost nothing again and the set grows from night to night. The choices are
in a file beside the score cache, by night, so that a rerun of a night measures the same; choices under another scorer,
template or number of slots, whose scores are of other prompts, do not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.schema import Episode
from pipelines.training.gains import select_affordable
from pipelines.training.provenance import current_provenance
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json


def choices_path(settings: Settings) -> Path:
    return settings.workspace / "cache" / "measured.json"


def hash_conditions(scorer_id: str, slots: int) -> str:
    """Hash what the scores of an episode's prompts depend on beside the episode."""
    conditions = json.dumps([scorer_id, slots, asdict(current_provenance())], sort_keys=True)
    return hashlib.sha256(conditions.encode()).hexdigest()[:16]


def choose_episodes(
    path: Path, night: str, episodes: Sequence[Episode], budget: int, slots: int, conditions: str
) -> list[Episode]:
    """Choose tonight's episodes and record the new ones; equal arguments choose equally, however often."""
    recorded: dict[str, Any] = read_json(path) if path.exists() else {}
    nights = recorded.get("nights", {}) if recorded.get("conditions") == conditions else {}
    earlier = {one for when, chosen in nights.items() if when < night for one in chosen}
    before = [e for e in episodes if e.episode_id in earlier]
    new = select_affordable([e for e in episodes if e.episode_id not in earlier], budget, slots)
    nights[night] = [e.episode_id for e in new]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"conditions": conditions, "nights": nights})
    return [*before, *new]


def find_chosen(path: Path, episodes: Sequence[Episode], conditions: str) -> list[Episode]:
    """Find the episodes that any night chose; none where none was recorded."""
    recorded: dict[str, Any] = read_json(path) if path.exists() else {}
    if recorded.get("conditions") != conditions:
        return []
    chosen = {one for ids in recorded["nights"].values() for one in ids}
    return [e for e in episodes if e.episode_id in chosen]
