"""The structural tier: check a resource against ``FIELDS`` and select its allowlisted part."""

from __future__ import annotations

from pipelines.records.read.identity import ID_PATTERN, read_reference
from pipelines.records.read.raw_resource import Resource, ResourceError
from pipelines.records.validate.elements import check_modifiers
from pipelines.records.validate.fields import FIELDS, ResourceFields

#: What R4 lets a resource be about besides a patient.
_OTHER_KINDS = ("Group", "RelatedPerson", "Device", "Location", "Practitioner", "Organization", "Substance", "Specimen")


def read_type(resource: Resource) -> str:
    """The resource's type; ``ResourceError`` where it has none."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or not kind:
        raise ResourceError("missing_resource_type", "the object has no resourceType")
    return kind


def select_allowed(resource: Resource, kind: str) -> Resource:
    """Check a resource of a type in ``FIELDS`` and select its allowlisted fields.

    Raises ``ResourceError`` at the first field that does not fit.
    """
    table = FIELDS[kind]
    ident = resource.get("id")
    if ident is None:
        raise ResourceError("missing_id", "the resource has no id")
    if not isinstance(ident, str) or not ID_PATTERN.fullmatch(ident):
        raise ResourceError("bad_id", "the id has not the shape of a FHIR id")
    check_modifiers(resource, "")
    if resource.get("implicitRules"):
        raise ResourceError("implicit_rules", "implicitRules names rules that are not understood")
    for name in table.required:
        if name not in resource:
            raise ResourceError("missing_field", f"{name} is missing")
    _check_choices(resource, table)
    checks = table.checks
    checked = {"id": ident}
    for name, value in resource.items():
        if name in checks:
            checks[name](value, name)
            checked[name] = value
    return checked


def _check_choices(resource: Resource, table: ResourceFields) -> None:
    for group in table.any_of:
        if not any(map(resource.__contains__, group)):
            raise ResourceError("missing_field", f"none of {', '.join(group)} is there")
    for group in table.at_most_one:
        if sum(map(resource.__contains__, group)) > 1:
            raise ResourceError("two_values", f"more than one of {group[0]} and its alternatives is there")


def find_other_kind(resource: Resource, kind: str) -> str:
    """The type of a subject that is no patient (``Group``, ``Device``), or empty."""
    subject = resource.get(FIELDS[kind].patient) if FIELDS[kind].patient else None
    if not isinstance(subject, dict) or not isinstance(subject.get("reference"), str):
        return ""
    target = read_reference({k: v for k, v in subject.items() if isinstance(v, str)})
    return target[0] if target and target[0] in _OTHER_KINDS else ""


def read_patient_id(checked: Resource, kind: str) -> str:
    """The id of the patient whom a checked resource is about; ``ResourceError`` without one."""
    if kind == "Patient":
        return str(checked["id"])
    patient = read_reference(checked.get(FIELDS[kind].patient))
    if patient is None and kind == "Communication":
        patient = _find_correspondent(checked)
    if patient is None:
        raise ResourceError("missing_field", f"{FIELDS[kind].patient}.reference is missing")
    target, ident = patient
    if target not in (None, "Patient") or not ident:
        raise ResourceError("unknown_patient", f"{FIELDS[kind].patient} is no patient")
    return ident


def _find_correspondent(checked: Resource) -> tuple[str | None, str] | None:
    """The patient who sends or receives a message without subject."""
    people = (read_reference(p) for p in (checked.get("sender"), *checked.get("recipient", [])))
    return next((p for p in people if p is not None and p[0] == "Patient"), None)
