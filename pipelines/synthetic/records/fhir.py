"""FHIR R4 resources as plain dictionaries: the few shapes the sample clinic adds, and how to read a time from any.

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

#: Where each resource type keeps the moment it is about, in order of preference.
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


def identifier(*parts: object) -> str:
    """A UUID that depends on ``parts`` alone."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))


def at(moment: datetime) -> str:
    """FHIR instant in UTC, whole seconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def parse(text: str) -> datetime:
    """A FHIR dateTime as an aware moment; a date alone is its midnight UTC."""
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def field(resource: Resource, path: str) -> Any:
    """The value at a dotted path, or None."""
    value: Any = resource
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def event_time(resource: Resource) -> datetime | None:
    """When the thing happened, or None where the type has no such time (Practitioner)."""
    found = (field(resource, path) for path in EVENT_TIME.get(resource["resourceType"], ()))
    return next((parse(text) for text in found if text), None)


def written_time(resource: Resource) -> datetime | None:
    """When the record of it was written: a result when it was issued, anything else when it happened."""
    return parse(resource["issued"]) if "issued" in resource else event_time(resource)


def codes(concept: Resource | None) -> Iterator[tuple[str, str, str]]:
    """(system URI, code, display) of each coding of a CodeableConcept."""
    for coding in (concept or {}).get("coding", ()):
        yield coding.get("system", ""), coding.get("code", ""), coding.get("display", "")


def concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def reference(resource_type: str, identity: str, display: str | None = None) -> Resource:
    return {"reference": f"{resource_type}/{identity}"} | ({"display": display} if display else {})


def observation(
    identity: str, patient: str, code: Resource, when: datetime, encounter: str | None = None, **value: Any
) -> Resource:
    """An Observation; ``value`` holds its value field, and ``issued`` where the result came later than the sample."""
    resource: Resource = {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "code": code,
        "subject": reference("Patient", patient),
        "effectiveDateTime": at(when),
    }
    if encounter:
        resource["encounter"] = reference("Encounter", encounter)
    return resource | value


def quantity(value: float, unit: str) -> Resource:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def encounter(
    identity: str, patient: str, code: tuple[str, str], start: datetime, end: datetime, status: str = "finished"
) -> Resource:
    """An ambulatory Encounter; ``code`` is the SNOMED code and display of its type."""
    return {
        "resourceType": "Encounter",
        "id": identity,
        "status": status,
        "class": {"system": f"{_TERMINOLOGY}/v3-ActCode", "code": "AMB", "display": "ambulatory"},
        "type": [concept(SNOMED, *code)],
        "subject": reference("Patient", patient),
        "period": {"start": at(start), "end": at(end)},
    }


def condition(identity: str, patient: str, code: Resource, onset: datetime, abatement: datetime | None) -> Resource:
    """A confirmed Condition, active until ``abatement``."""
    resource: Resource = {
        "resourceType": "Condition",
        "id": identity,
        "clinicalStatus": concept(
            f"{_TERMINOLOGY}/condition-clinical", *(("resolved", "Resolved") if abatement else ("active", "Active"))
        ),
        "verificationStatus": concept(f"{_TERMINOLOGY}/condition-ver-status", "confirmed", "Confirmed"),
        "code": code,
        "subject": reference("Patient", patient),
        "onsetDateTime": at(onset),
    }
    return resource | ({"abatementDateTime": at(abatement)} if abatement else {})


def medication(identity: str, patient: str, code: tuple[str, str], authored: datetime) -> Resource:
    """An active MedicationRequest; ``code`` is the RxNorm code and the drug's name."""
    return {
        "resourceType": "MedicationRequest",
        "id": identity,
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": concept(RXNORM, *code),
        "subject": reference("Patient", patient),
        "authoredOn": at(authored),
    }


def procedure(identity: str, patient: str, code: tuple[str, str], performed: datetime) -> Resource:
    return {
        "resourceType": "Procedure",
        "id": identity,
        "status": "completed",
        "code": concept(SNOMED, *code),
        "subject": reference("Patient", patient),
        "performedDateTime": at(performed),
    }


def drug_allergy(identity: str, patient: str, code: tuple[str, str], recorded: date) -> Resource:
    return {
        "resourceType": "AllergyIntolerance",
        "id": identity,
        "clinicalStatus": concept(f"{_TERMINOLOGY}/allergyintolerance-clinical", "active", "Active"),
        "category": ["medication"],
        "code": concept(RXNORM, *code),
        "patient": reference("Patient", patient),
        "recordedDate": recorded.isoformat(),
    }


def message(
    identity: str, patient: str, sender: Resource, sent: datetime, text: str, answers: str | None = None
) -> Resource:
    """A portal message: a question, or with ``answers`` the reply to that Communication."""
    resource: Resource = {
        "resourceType": "Communication",
        "id": identity,
        "status": "completed",
        "subject": reference("Patient", patient),
        "sender": sender,
        "sent": at(sent),
        "payload": [{"contentString": text}],
    }
    return resource | ({"inResponseTo": [reference("Communication", answers)]} if answers else {})


def rating(identity: str, patient: str, reply: str, when: datetime, stars: int) -> Resource:
    """The patient's rating of a reply, one to five."""
    code = concept(PORTAL, "reply-rating", "Rating of a reply")
    focus = [reference("Communication", reply)]
    return observation(identity, patient, code, when, valueInteger=stars, focus=focus)
