"""What a stage did, as ``runs/<night>/<stage>.json``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pmlm.settings import Settings
from pmlm.storage import read_json, write_json
from pmlm.workspace_lock import lock_writing


@dataclass(slots=True)
class StageSummary:
    """Figures of one stage of one night, written as JSON: rows, seconds, content hashes."""

    stage: str
    night: str
    rows_in: int = 0
    rows_out: int = 0
    quarantined: int = 0
    seconds: float = 0.0
    status: str = "done"
    detail: str = ""
    hashes: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


def summary_path(settings: Settings, night: str, stage: str) -> Path:
    return settings.runs / night / f"{stage}.json"


def training_request_path(settings: Settings, night: str) -> Path:
    """The file by which someone asks for a training in a night, with or without cause: ``{"why"}``."""
    return settings.runs / f"{night}.train.json"


def alerts_path(settings: Settings) -> Path:
    """The file of a clinic's alerts, oldest first."""
    return settings.workspace / "alerts.jsonl"


def request_training(settings: Settings, night: str, why: str) -> None:
    """Ask for a training in a night; the request outlives a killed night and stays on record."""
    write_json(training_request_path(settings, night), {"why": why})


@contextmanager
def stage_run(settings: Settings, night: str, stage: str) -> Iterator[StageSummary]:
    """Time a stage, alone in its workspace, and write its summary when it ends without error."""
    summary = StageSummary(stage=stage, night=night)
    with lock_writing(settings):
        started = time.perf_counter()
        yield summary
        summary.seconds = round(time.perf_counter() - started, 3)
        write_json(summary_path(settings, night, stage), asdict(summary))


def read_summaries(settings: Settings, night: str) -> list[StageSummary]:
    """Read a night's summaries in the order the stages ran."""
    folder = settings.runs / night
    found = sorted(folder.glob("*.json"), key=lambda p: p.stat().st_mtime) if folder.exists() else []
    return [StageSummary(**read_json(p)) for p in found]


def replace_hashes(settings: Settings, replaced: dict[str, str]) -> None:
    """Put new hashes in place of old ones in the summaries of all nights."""
    for path in sorted(settings.runs.glob("*/*.json")) if replaced else ():
        before = read_json(path)
        if (after := _replace_texts(before, replaced)) != before:
            write_json(path, after)


def _replace_texts(value: Any, replaced: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replace_texts(one, replaced) for key, one in value.items()}
    if isinstance(value, list):
        return [_replace_texts(one, replaced) for one in value]
    return replaced.get(value, value) if isinstance(value, str) else value
