from __future__ import annotations

import json
from pathlib import Path

import pytest

from pmlm.settings import Settings

PATIENT = {"resourceType": "Patient", "id": "w1", "gender": "female", "birthDate": "1990-01-01"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A clinic of one patient and three drops, none of them ingested."""
    for day, weight in (("2026-03-01", 60.0), ("2026-03-02", 61.0), ("2026-03-03", 62.0)):
        write_drop(tmp_path / "clinic" / day, weight)
    return Settings(home=tmp_path / "state", drops=tmp_path / "clinic", key_dir=tmp_path / "keys")


def write_drop(folder: Path, weight: float) -> None:
    """Write the patient's record and one weight of the drop's day."""
    observation = {
        "resourceType": "Observation",
        "id": f"weight-{folder.name}",
        "status": "final",
        "subject": {"reference": "Patient/w1"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "effectiveDateTime": f"{folder.name}T09:00:00Z",
        "valueQuantity": {"value": weight, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    }
    folder.mkdir(parents=True)
    (folder / "Patient.ndjson").write_text(json.dumps(PATIENT) + "\n")
    (folder / "Observation.ndjson").write_text(json.dumps(observation) + "\n")
