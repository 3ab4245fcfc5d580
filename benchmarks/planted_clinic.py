"""Build a clinic, by the real stages, whose patients differ in the planted text alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.planted_text import find_leaves, plant
from feature_repo.store import online
from models.encoder import MiniLM
from models.prompt.personalize import personalize
from models.refiner.baselines import RankingRefiner
from models.refiner.interface import Caps
from pmlm.settings import Settings, load_settings

DAY, NIGHT = "2026-06-01", "20260601"
PLAIN = "as told by the patient"
SNOMED, LOINC, RXNORM = "http://snomed.info/sct", "http://loinc.org", "http://www.nlm.nih.gov/research/umls/rxnorm"


@dataclass(frozen=True, slots=True)
class PlantedClinic:
    """A clinic after its night; patient 0 has plain text."""

    settings: Settings
    encoder: MiniLM

    def prompt(self, number: int, question: str) -> str:
        """Build the prompt of one patient's question."""
        from bentos.auth.principal import Principal

        whole = Principal("benchmark", frozenset(), None)
        row = online.read(self.settings.feast, whole.subject(self.settings, f"planted-{number}"))
        if row is None:
            raise LookupError(f"patient {number} was not taken in")
        ranking = RankingRefiner(Caps(picks=12, tokens=600))
        return personalize(row, question, self.settings.now(), ranking, self.encoder, _count_words).prompt


def build_clinic(folder: Path, texts: Sequence[str]) -> PlantedClinic:
    """Build a clinic with one plain patient and one per text, in the online store."""
    from pipelines.features.build import stage as features
    from pipelines.features.online import materialise
    from pipelines.records import stage as records

    drop = folder / "drops" / DAY
    drop.mkdir(parents=True)
    manifest = {"name": "planted", "clock": "last_drop", "hash_key": "a public key", "synthetic": True}
    (drop.parent / "clinic.yaml").write_text(yaml.safe_dump(manifest))
    by_type: dict[str, list[str]] = {}
    for number, text in enumerate([PLAIN, *texts]):
        for record in _build_records(f"planted-{number}", text):
            by_type.setdefault(record["resourceType"], []).append(json.dumps(record))
    for name, lines in by_type.items():
        (drop / f"{name}.ndjson").write_text("\n".join(lines) + "\n")
    settings = load_settings(home=folder / "state", drops=folder / "drops", key_dir=folder / "keys")
    settings.home.mkdir()
    for stage in (records, features, materialise):
        stage.run(settings, NIGHT)
    return PlantedClinic(settings, MiniLM())


def _count_words(text: str) -> int:
    return len(text.split())


def _build_records(patient: str, text: str) -> list[dict[str, Any]]:
    subject = {"reference": f"Patient/{patient}"}
    active = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
    coded: list[dict[str, Any]] = [
        {"resourceType": "Condition", "id": f"c-{patient}", "clinicalStatus": active, "subject": subject,
         "code": _build_concept("urn:local", "note", "?"), "onsetDateTime": "2026-05-01T09:00:00+00:00",
         "recordedDate": "2026-05-01T09:00:00+00:00", "note": [{"text": "?"}]},
        {"resourceType": "AllergyIntolerance", "id": f"a-{patient}", "clinicalStatus": {"coding": [{"code": "active"}]},
         "category": ["medication"], "code": _build_concept("urn:local", "drug", "?"), "patient": subject,
         "recordedDate": "2026-01-10T09:00:00+00:00"},
        {"resourceType": "MedicationRequest", "id": f"m-{patient}", "status": "active", "intent": "order",
         "medicationCodeableConcept": _build_concept(RXNORM, "310325", "?"), "subject": subject,
         "authoredOn": "2026-05-20T09:20:00+00:00", "dosageInstruction": [{"text": "?"}]},
        {"resourceType": "Observation", "id": f"o-{patient}", "status": "final",
         "code": _build_concept(LOINC, "718-7", "?"), "subject": subject,
         "effectiveDateTime": "2026-05-20T09:10:00+00:00", "issued": "2026-05-20T09:10:00+00:00",
         "note": [{"text": "?"}],
         "valueQuantity": {"value": 9.8, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"}},
    ]  # fmt: skip
    whole = [_fill(record, text) for record in coded]
    return [{"resourceType": "Patient", "id": patient, "gender": "female", "birthDate": "1994-03-02"}, *whole]


def _build_concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _fill(record: dict[str, Any], text: str) -> dict[str, Any]:
    for path in list(find_leaves(record)):
        place: Any = record
        for step in path:
            place = place[step]
        if place == "?":
            record = plant(record, path, text)
    return record
