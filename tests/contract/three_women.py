"""A clinic of three women, small enough to read: what the endpoint is asked about in these tests.

Ada is thirty weeks pregnant, anaemic and allergic to penicillin; Bea reads Chinese; of Cleo there is one visit only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

DAY = "2026-06-01"
NIGHT = "20260601"
ADA, BEA, CLEO = "ada-7f3a9", "bea-1c44e", "cleo-90bd2"
#: Strings of these records that may never be seen outside the quarantine.
IDENTIFIERS = ("Quillfeather", "Adelheid", "555-0199", "Moorhen Lane", ADA, BEA, CLEO, "1994-03-02", "MRN-4471")

SNOMED, LOINC, RXNORM = (
    "http://snomed.info/sct",
    "http://loinc.org",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
)


def _coded(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _patient(id_: str, birth: str, language: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id_,
        "gender": "female",
        "birthDate": birth,
        "name": [{"family": "Quillfeather", "given": ["Adelheid"]}],
        "telecom": [{"system": "phone", "value": "555-0199"}],
        "address": [{"line": ["4 Moorhen Lane"]}],
        "identifier": [{"system": "urn:mrn", "value": "MRN-4471"}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": language}]}}],
    }


def _visit(id_: str, patient: str, day: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "type": [_coded(SNOMED, "424619006", "Prenatal visit")],
        "subject": {"reference": f"Patient/{patient}"},
        "period": {"start": f"{day}T09:00:00+00:00", "end": f"{day}T09:30:00+00:00"},
    }


def _observation(id_: str, patient: str, day: str, code: str, display: str, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": _coded(LOINC, code, display),
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": f"{day}T09:10:00+00:00",
        "issued": f"{day}T09:10:00+00:00",
        **value,
    }


def _haemoglobin(id_: str, day: str, value: float) -> dict[str, Any]:
    quantity = {"value": value, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"}
    return _observation(id_, ADA, day, "718-7", "Hemoglobin", {"valueQuantity": quantity})


def _condition(id_: str, patient: str, day: str, code: str, display: str) -> dict[str, Any]:
    status = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    return {
        "resourceType": "Condition",
        "id": id_,
        "clinicalStatus": {"coding": [{"system": status, "code": "active"}]},
        "code": _coded(SNOMED, code, display),
        "subject": {"reference": f"Patient/{patient}"},
        "onsetDateTime": f"{day}T09:00:00+00:00",
        "recordedDate": f"{day}T09:00:00+00:00",
    }


#: Ada's own question, and what a clinician wrote to it.
ANSWERED = "What can I do about my anemia?"
WRITTEN = ("Your haemoglobin of 9.8 g/dL is too low.", "You are allergic to penicillin V.", "Sleep whenever you can.")


def _message(id_: str, sender: str, to: str, at: str, text: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Communication",
        "id": id_,
        "status": "completed",
        "subject": {"reference": f"Patient/{ADA}"},
        "sender": {"reference": sender},
        "recipient": [{"reference": to}],
        "sent": at,
        "payload": [{"contentString": text}],
        **more,
    }


RECORDS: tuple[dict[str, Any], ...] = (
    _patient(ADA, "1994-03-02", "en"),
    _patient(BEA, "1990-11-20", "zh"),
    _patient(CLEO, "2001-01-15", "en"),
    _visit("v1", ADA, "2026-03-01"),
    _visit("v2", ADA, "2026-05-20"),
    _visit("v3", BEA, "2026-05-02"),
    _visit("v4", CLEO, "2026-05-30"),
    _observation("o1", ADA, "2026-03-01", "11778-8", "Delivery date estimated", {"valueDateTime": "2026-08-10"}),
    _haemoglobin("o2", "2026-03-01", 12.9),
    _haemoglobin("o3", "2026-04-12", 12.8),
    _haemoglobin("o4", "2026-05-20", 9.8),
    _condition("c1", ADA, "2026-01-10", "72892002", "Normal pregnancy"),
    _condition("c2", ADA, "2026-05-20", "271737000", "Anemia"),
    _condition("c3", BEA, "2025-02-01", "195967001", "Asthma"),
    {
        "resourceType": "AllergyIntolerance",
        "id": "a1",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "category": ["medication"],
        "code": _coded(RXNORM, "7984", "Penicillin V"),
        "patient": {"reference": f"Patient/{ADA}"},
        "recordedDate": "2026-01-10T09:00:00+00:00",
    },
    {
        "resourceType": "MedicationRequest",
        "id": "m1",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": _coded(RXNORM, "310325", "ferrous sulfate 325 MG Oral Tablet"),
        "subject": {"reference": f"Patient/{ADA}"},
        "authoredOn": "2026-05-20T09:20:00+00:00",
    },
    _message("q1", f"Patient/{ADA}", "Practitioner/lee", "2026-05-21T08:00:00+00:00", ANSWERED),
    _message(
        "r1", "Practitioner/lee", f"Patient/{ADA}", "2026-05-21T10:00:00+00:00", " ".join(WRITTEN),
        inResponseTo=[{"reference": "Communication/q1"}],
    ),
)  # fmt: skip


def write(drops: Path) -> Path:
    """Lay the clinic's one drop and its manifest down under ``drops``."""
    (drops / DAY).mkdir(parents=True)
    manifest = {"name": "three-women", "clock": "last_drop", "hash_key": "a public key", "synthetic": True}
    (drops / "clinic.yaml").write_text(yaml.safe_dump(manifest))
    by_type: dict[str, list[str]] = {}
    for record in RECORDS:
        by_type.setdefault(record["resourceType"], []).append(json.dumps(record))
    for name, lines in by_type.items():
        (drops / DAY / f"{name}.ndjson").write_text("\n".join(lines) + "\n")
    return drops
