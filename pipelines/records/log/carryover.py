"""What earlier drops leave for later ones: known patients, and drugs that Medications named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipelines.records.log.event_log import scan_events
from pipelines.records.log.spill import HashSet
from pipelines.records.read.coding import CodedConcept
from pmlm.settings import Settings
from pmlm.storage import atomic_write


def read_patients(settings: Settings) -> HashSet:
    """The subjects with any event in the log."""
    subjects = scan_events(settings).select("subject_id").unique().collect(engine="streaming")
    return HashSet(subjects["subject_id"].to_numpy())


def read_medications(settings: Settings, night: str) -> dict[int, CodedConcept]:
    """Drugs by pseudonym of their Medication, from drops up to a night."""
    medications: dict[int, CodedConcept] = {}
    for path in sorted(_folder(settings).glob("*.parquet")):
        if path.stem <= night:
            medications |= _read_file(path)
    return medications


def save_medications(settings: Settings, night: str, medications: Mapping[int, CodedConcept]) -> None:
    """Add a drop's Medications to its file; write nothing where there are none."""
    if not medications:
        return
    path = _folder(settings) / f"{night}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    merged = _read_file(path) | dict(medications) if path.exists() else medications
    rows = [(key, drug.code, drug.text, drug.local) for key, drug in sorted(merged.items())]
    schema = {"medication": pl.Int64, "code": pl.String, "text": pl.String, "local": pl.Boolean}
    with atomic_write(path, mode=0o600) as temporary:
        pl.DataFrame(rows, schema=schema, orient="row").write_parquet(temporary)


def _read_file(path: Path) -> dict[int, CodedConcept]:
    return {row[0]: CodedConcept(*row[1:]) for row in pl.read_parquet(path).iter_rows()}


def _folder(settings: Settings) -> Path:
    return settings.quarantine / "medications"
