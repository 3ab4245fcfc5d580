"""Write the small files that nights, the hourly monitor and alerts leave, for the operations page to read."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.monitoring import traffic
from pipelines.monitoring.reference import COUNT_SCHEMA
from pipelines.monitoring.window import window_folder
from pipelines.runs import StageSummary, alerts_path, summary_path
from pipelines.training.champion_history import record_change
from pmlm.settings import Settings
from pmlm.storage import write_json

FIRST = date(2026, 6, 1)
SECONDS = {"records": 40.0, "features": 30.0, "episodes": 12.0, "drift": 6.0, "train": 60.0, "gate": 0.1, "save": 3.0}
PERSON = "Dr. Grace Onlooker"


def name_night(number: int) -> str:
    return f"{FIRST + timedelta(days=number):%Y%m%d}"


def write_stage(settings: Settings, night: str, stage: str, **fields: Any) -> Path:
    """Write one stage's summary."""
    written = StageSummary(stage, night, **{"rows_in": 100, "rows_out": 100, "seconds": 1.0} | fields)
    return write_json(summary_path(settings, night, stage), asdict(written))


def write_night(settings: Settings, number: int, patients: int = 40, ratings: int = 12) -> str:
    """Write a night: every third one promotes, every fifth one drifts."""
    night, drifts = name_night(number), number % 5 == 4
    figures: dict[str, dict[str, Any]] = {
        "records": {"feedback": {"ratings": ratings, "edits": 0, "disputes": 1}},
        "features": {"labs": 100, "peers": 0 if number else 50},
        "drift": {"records": "drift" if drifts else "stable", "features": "no verdict"},
        "gate": {
            "challenger": f"refiner-{number}", "champion": "ranking", "decision": "hold" if number % 3 else "promote",
            "difference": 0.1 * number, "ci_low": 0.1 * number - 0.2, "ci_high": 0.1 * number + 0.2,
            "patients": patients,
        },
        "save": {"finished": True},
    }  # fmt: skip
    for stage, seconds in SECONDS.items():
        took, quarantined = seconds * (1 + number % 4 / 4), 7 if stage == "records" else 0
        write_stage(settings, night, stage, figures=figures.get(stage, {}), seconds=took, quarantined=quarantined)
    drifted = {"records": {"drifted": ["kind"] if drifts else []}, "features": {"drifted": []}}
    write_json(settings.reports / "drift" / f"{night}.json", drifted)
    return night


def write_reference(settings: Settings, night: str, counts: dict[str, tuple[int, int]]) -> None:
    """Write the window's counts: feature → rows with and without a value."""
    rows = [
        ("own_features", f"no value of {feature}", None, word, n)
        for feature, (with_value, without) in counts.items()
        for word, n in (("no", with_value), ("yes", without))
    ]
    folder = window_folder(settings, night)
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema=COUNT_SCHEMA, orient="row").write_parquet(folder / "reference.parquet")


def write_day(settings: Settings, number: int, patients: int) -> date:
    """Write what the endpoint logged on a day, a question of each patient, and count it as the monitor does."""
    day = FIRST + timedelta(days=number)
    lines = [
        {
            "id": f"a{n}", "at": f"{day}T{9 + n % 4:02}:30:00Z", "patient": 7700100 + n, "question": 8800200 + n,
            "candidates": 20, "kept": ["safety"], "signs": ["bleeding"] if n % 4 == 0 else [],
            "personalization": "full", "degraded": None, "seconds": {"llm": 0.1 + n / 100}, "llm_error": None,
            "findings": [], "words": 50,
        }
        for n in range(patients)
    ]  # fmt: skip
    log = settings.workspace / "interactions" / f"{day:%Y%m%d}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    traffic.measure_day(settings, day)
    return day


def write_alert(settings: Settings, night: str, text: str, kind: str = "verdict", at: str = "2026-06-01") -> None:
    line = {"at": f"{at}T03:00:00Z", "kind": kind, "night": night, "text": text, "command": "pmlm alerts"}
    alerts_path(settings).parent.mkdir(parents=True, exist_ok=True)
    with alerts_path(settings).open("a") as file:
        file.write(json.dumps(line) + "\n")


def write_clinic(settings: Settings, nights: int = 12) -> None:
    """Write some nights, days, changes of the champion and alerts of a clinic."""
    for number in range(nights):
        night = write_night(settings, number)
        write_day(settings, number, patients=4 if number == 2 else 20 + number)
    record_change(settings, "first", None, "ranking", by="gate", why="the first", night=name_night(0))
    record_change(settings, "promote", "ranking", "refiner-3", by=PERSON, why="of Patient/77", night=night)
    write_reference(settings, night, {"hba1c_latest": (20, 80), "rare_latest": (96, 4), "age": (100, 0)})
    write_alert(settings, name_night(0), "drift of records: where it began, a challenger is trained", kind="drift")
    write_alert(settings, night, "the challenger was not promoted: 30 gate episodes of 4 patients; 20 of 8 are needed")
