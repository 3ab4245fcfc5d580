"""Build FHIR R4 resources as plain dictionaries, and read codes and times from any.

Ids are version-4-shaped UUIDs derived from what the resource is, so that the same seed gives the same id.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

Resource = dict[str, Any]

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
PORTAL = "https://pmlm.dev/fhir/CodeSystem/portal"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"

#: The paths of each resource type's event time, in order of preference.
EVENT_TIME = {
    "Patient": ("birthDate",),
    "Encounter": ("period.start",),
    "Condition": ("onsetDateTime", "onsetPeriod.start", "recordedDate"),
    "Observation": ("effectiveDateTime", "effectivePeriod.start", "issued"),
    "MedicationRequest": ("authoredOn",),
    "Procedure": ("performedDateTime", "performedPeriod.start"),
    "AllergyIntolerance": ("onsetDateTime", "recordedDate"),
    "Immunization": ("occurrenceDateTime",),
    "CarePlan": ("period.start",),
    "Communication": ("sent",),
}


def derive_id(*parts: object) -> str:
    """Derive a UUID from ``parts`` alone."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))


def format_instant(moment: datetime) -> str:
    """Format a FHIR instant in UTC, whole seconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def parse_time(text: str) -> datetime:
    """Parse a FHIR dateTime to an aware datetime; a date alone is its midnight UTC."""
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def get_path(resource: Resource, path: str) -> Any:
    """The value at a dotted path, or None."""
    value: Any = resource
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def event_time(resource: Resource) -> datetime | None:
    """When the thing happened, or None where the type has no such time (Practitioner)."""
    found = (get_path(resource, path) for path in EVENT_TIME.get(resource["resourceType"], ()))
    return next((parse_time(text) for text in found if text), None)


def written_time(resource: Resource) -> datetime | None:
    """When it was recorded: a result when it was issued, anything else when it happened."""
    return parse_time(resource["issued"]) if "issued" in resource else event_time(resource)


def read_codings(concept: Resource | None) -> Iterator[tuple[str, str, str]]:
    """Yield (system URI, code, display) of each coding of a CodeableConcept."""
    for coding in (concept or {}).get("coding", ()):
        yield coding.get("system", ""), coding.get("code", ""), coding.get("display", "")


def build_concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def build_reference(resource_type: str, identity: str, display: str | None = None) -> Resource:
    return {"reference": f"{resource_type}/{identity}"} | ({"display": display} if display else {})


def build_observation(
    identity: str, patient: str, code: Resource, when: datetime, encounter: str | None = None, **value: Any
) -> Resource:
    """An Observation; ``value`` is its value field, and ``issued`` for a later result."""
    resource: Resource = {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "code": code,
        "subject": build_reference("Patient", patient),
        "effectiveDateTime": format_instant(when),
    }
    if encounter:
        resource["encounter"] = build_reference("Encounter", encounter)
    return resource | value


def build_quantity(value: float, unit: str) -> Resource:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def build_encounter(
    identity: str, patient: str, code: tuple[str, str], start: datetime, end: datetime, status: str = "finished"
) -> Resource:
    """An ambulatory Encounter; ``code`` is the SNOMED code and display of its type."""
    return {
        "resourceType": "Encounter",
        "id": identity,
        "status": status,
        "class": {"system": f"{_TERMINOLOGY}/v3-ActCode", "code": "AMB", "display": "ambulatory"},
        "type": [build_concept(SNOMED, *code)],
        "subject": build_reference("Patient", patient),
        "period": {"start": format_instant(start), "end": format_instant(end)},
    }


def build_condition(
    identity: str, patient: str, code: Resource, onset: datetime, abatement: datetime | None
) -> Resource:
    """A confirmed Condition, active until ``abatement``."""
    resource: Resource = {
        "resourceType": "Condition",
        "id": identity,
        "clinicalStatus": build_concept(
            f"{_TERMINOLOGY}/condition-clinical", *(("resolved", "Resolved") if abatement else ("active", "Active"))
        ),
        "verificationStatus": build_concept(f"{_TERMINOLOGY}/condition-ver-status", "confirmed", "Confirmed"),
        "code": code,
        "subject": build_reference("Patient", patient),
        "onsetDateTime": format_instant(onset),
    }
    return resource | ({"abatementDateTime": format_instant(abatement)} if abatement else {})


def build_medication(identity: str, patient: str, code: tuple[str, str], authored: datetime) -> Resource:
    """An active MedicationRequest; ``code`` is the RxNorm code and the drug's name."""
    return {
        "resourceType": "MedicationRequest",
        "id": identity,
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": build_concept(RXNORM, *code),
        "subject": build_reference("Patient", patient),
        "authoredOn": format_instant(authored),
    }


def build_procedure(identity: str, patient: str, code: tuple[str, str], performed: datetime) -> Resource:
    return {
        "resourceType": "Procedure",
        "id": identity,
        "status": "completed",
        "code": build_concept(SNOMED, *code),
        "subject": build_reference("Patient", patient),
        "performedDateTime": format_instant(performed),
    }


def build_drug_allergy(identity: str, patient: str, code: tuple[str, str], recorded: date) -> Resource:
    return {
        "resourceType": "AllergyIntolerance",
        "id": identity,
        "clinicalStatus": build_concept(f"{_TERMINOLOGY}/allergyintolerance-clinical", "active", "Active"),
        "category": ["medication"],
        "code": build_concept(RXNORM, *code),
        "patient": build_reference("Patient", patient),
        "recordedDate": recorded.isoformat(),
    }


def build_message(
    identity: str, patient: str, sender: Resource, sent: datetime, text: str, answers: str | None = None
) -> Resource:
    """A portal message: a question, or with ``answers`` the reply to that Communication."""
    resource: Resource = {
        "resourceType": "Communication",
        "id": identity,
        "status": "completed",
        "subject": build_reference("Patient", patient),
        "sender": sender,
        "sent": format_instant(sent),
        "payload": [{"contentString": text}],
    }
    return resource | ({"inResponseTo": [build_reference("Communication", answers)]} if answers else {})


def build_rating(identity: str, patient: str, reply: str, when: datetime, stars: int) -> Resource:
    """The patient's rating of a reply, one to five."""
    code = build_concept(PORTAL, "reply-rating", "Rating of a reply")
    focus = [build_reference("Communication", reply)]
    return build_observation(identity, patient, code, when, valueInteger=stars, focus=focus)
