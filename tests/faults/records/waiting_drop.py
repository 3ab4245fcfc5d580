"""A clinic with one drop taken in and the next one waiting, and its state as content."""

from __future__ import annotations

from pathlib import Path

from pipelines.records.log import ledger, quarantine
from pmlm.settings import Settings
from pmlm.storage import hash_files
from tests.unit.pipelines.records.fhir import Clinic, condition, observation, patient

FIRST, SECOND = "2026-06-01", "2026-06-02"
State = tuple[str, str, list[str], str]


def filled(folder: Path) -> Clinic:
    """A clinic with an imported drop, a row that waits, and the next day's drop."""
    drops = folder / "clinic"
    drops.mkdir(parents=True)
    (drops / "clinic.yaml").write_text("name: killed\nclock: last_drop\nhash_key: test\n")
    clinic = Clinic(Settings(home=folder / "state", drops=drops, key_dir=folder / "keys"))
    waits = observation("late", effectiveDateTime="2026-06-02T08:00:00Z")
    clinic.drop(FIRST, patient(), observation("w"), waits, "broken")
    clinic.put(SECOND, "records.ndjson", [observation("w", value=70.0), condition(), observation("x", unit="stone")])
    return clinic


def state(clinic: Clinic) -> State:
    """Events, ledger, quarantine and clock, as content."""
    settings = clinic.settings
    rows = sorted(f"{r.night} {r.file} {r.line} {r.rule} {r.raw}" for r in quarantine.read_rows(settings))
    clock = (settings.workspace / "clock.json").read_text()
    return hash_files([settings.events]), hash_files([ledger.folder(settings)]), rows, clock
