"""What earlier drops leave for later ones: patients, drugs that Medications named, pregnancies called active."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import polars as pl

from pipelines.night_dates import end_of_day, parse_night
from pipelines.records.log.event_log import scan_events
from pipelines.records.log.spill import HashSet
from pipelines.records.read.coding import CodedConcept
from pipelines.records.read.fhir_time import Micros, to_micros
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


def read_last_active(settings: Settings, night: str) -> dict[int, Micros]:
    """By pseudonym of a pregnancy's entry, the end of the last drop before a night that called it active."""
    found: dict[int, Micros] = {}
    for path in sorted(_active_folder(settings).glob("*.parquet")):
        if path.stem < night:
            end = to_micros(end_of_day(parse_night(path.stem)))
            found |= dict.fromkeys(pl.read_parquet(path)["entry"].to_list(), end)
    return found


def save_active(settings: Settings, night: str, entries: Collection[int]) -> None:
    """Add the entries that a drop calls active to its file; write nothing where there are none."""
    if not entries:
        return
    path = _active_folder(settings) / f"{night}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    entries = {*entries, *(pl.read_parquet(path)["entry"].to_list() if path.exists() else ())}
    with atomic_write(path, mode=0o600) as temporary:
        pl.DataFrame({"entry": sorted(entries)}, schema={"entry": pl.Int64}).write_parquet(temporary)


def _read_file(path: Path) -> dict[int, CodedConcept]:
    return {row[0]: CodedConcept(*row[1:]) for row in pl.read_parquet(path).iter_rows()}


def _folder(settings: Settings) -> Path:
    return settings.quarantine / "medications"


def _active_folder(settings: Settings) -> Path:
    return settings.quarantine / "active"
