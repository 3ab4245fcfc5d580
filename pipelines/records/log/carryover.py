"""What earlier drops leave for later ones besides events: the drugs that a Medication resource named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipelines.records.log.event_log import scan_events
from pipelines.records.log.hash_sets import HashSet
from pipelines.records.read.coding import CodedConcept
from pmlm.settings import Settings
from pmlm.storage import atomic_write


def read_patients(settings: Settings) -> HashSet:
    """Subjects with anything in the log."""
    found = scan_events(settings).select("subject_id").unique().collect(engine="streaming")
    return HashSet(found["subject_id"].to_numpy())


def read_medications(settings: Settings, night: str) -> dict[int, CodedConcept]:
    """Drugs by the pseudonym of their Medication, as drops up to a night named them; the latest counts."""
    found: dict[int, CodedConcept] = {}
    for path in sorted(_folder(settings).glob("*.parquet")):
        if path.stem <= night:
            found |= _read_file(path)
    return found


def save_medications(settings: Settings, night: str, named: Mapping[int, CodedConcept]) -> None:
    """Add what Medications named to what this drop held before; nothing is written where they named none."""
    if not named:
        return
    path = _folder(settings) / f"{night}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    whole = _read_file(path) | dict(named) if path.exists() else named
    rows = [(key, drug.code, drug.text, drug.local) for key, drug in sorted(whole.items())]
    schema = {"medication": pl.Int64, "code": pl.String, "text": pl.String, "local": pl.Boolean}
    with atomic_write(path, mode=0o600) as temporary:
        pl.DataFrame(rows, schema=schema, orient="row").write_parquet(temporary)


def _read_file(path: Path) -> dict[int, CodedConcept]:
    return {row[0]: CodedConcept(*row[1:]) for row in pl.read_parquet(path).iter_rows()}


def _folder(settings: Settings) -> Path:
    return settings.quarantine / "medications"
