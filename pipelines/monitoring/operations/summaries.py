"""Read the stage summaries of the last nights, whatever is torn passed over."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.runs import StageSummary
from pmlm.settings import Settings

MOST_NIGHTS = 60
_NIGHT = re.compile(r"\d{8}")


@dataclass(frozen=True, slots=True)
class NightRead:
    """A night's stages in the order in which they ended, and when each did."""

    night: str
    stages: dict[str, StageSummary]
    ended: dict[str, datetime]

    def find_figures(self, stage: str) -> dict[str, Any]:
        """A stage's figures; none where it has not run."""
        return self.stages[stage].figures if stage in self.stages else {}


def read_last_nights(settings: Settings) -> list[NightRead]:
    """The last nights with a summary, oldest first."""
    folders = sorted(f for f in settings.runs.glob("*") if f.is_dir() and _NIGHT.fullmatch(f.name))[-MOST_NIGHTS:]
    return [found for folder in folders if (found := _read_night(folder)).stages]


def _read_night(folder: Path) -> NightRead:
    found = []
    for path in folder.glob("*.json"):
        try:
            summary = StageSummary(**json.loads(path.read_text()))
            found.append((datetime.fromtimestamp(path.stat().st_mtime, UTC), summary))
        except (OSError, ValueError, TypeError):
            continue
    found.sort(key=lambda pair: (pair[0], pair[1].stage))
    return NightRead(folder.name, {s.stage: s for _, s in found}, {s.stage: at for at, s in found})
