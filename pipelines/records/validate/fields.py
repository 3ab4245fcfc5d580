"""The allowlist and the structural tier in one table: what PMLM reads of each resource, and what it must look like.

Nothing that is not listed here reaches the event log. Names, addresses, phones and identifiers are read in
``identifiers.py``, only to take them out of free text.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records.validate.elements import (
    Check,
    anything,
    boolean,
    coding,
    concept,
    date_time,
    each,
    integer,
    one_of,
    period,
    quantity,
    reference,
    shape,
    text,
)


@dataclass(frozen=True, slots=True)
class Fields:
    """One resource type: fields read with their checks, those that must be there, and the field naming the patient.

    Of the groups in ``any_of`` at least one field must be there; of those in ``at_most_one`` only one may be.
    """

    checks: dict[str, Check]
    required: tuple[str, ...] = ()
    any_of: tuple[tuple[str, ...], ...] = ()
    at_most_one: tuple[tuple[str, ...], ...] = ()
    patient: str = "subject"


_VALUES = (
    "valueQuantity", "valueInteger", "valueBoolean", "valueCodeableConcept", "valueDateTime", "valueString",
    "valueRange", "valueRatio", "valuePeriod", "valueTime", "valueSampledData",
)  # fmt: skip

_VALUE_CHECKS: dict[str, Check] = {
    "valueQuantity": quantity,
    "valueInteger": integer,
    "valueBoolean": boolean,
    "valueCodeableConcept": concept,
    "valueDateTime": date_time,
    "valueString": text,
    "dataAbsentReason": concept,
}

_CLINICAL: dict[str, Check] = {"clinicalStatus": concept, "verificationStatus": concept}

FIELDS: dict[str, Fields] = {
    "Patient": Fields(
        {
            "birthDate": date_time,
            "deceasedDateTime": date_time,
            "deceasedBoolean": boolean,
            "gender": one_of("male", "female", "other", "unknown"),
            "communication": each(shape(language=concept, preferred=boolean)),
        },
        at_most_one=(("deceasedDateTime", "deceasedBoolean"),),
        patient="",
    ),
    "Encounter": Fields(
        {
            "status": one_of(
                "planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled", "noshow",
                "entered-in-error", "unknown",
            ),
            "class": coding,
            "type": each(concept),
            "subject": reference,
            "period": period,
        },
        required=("status", "class", "subject"),
    ),
    "Condition": Fields(
        {
            **_CLINICAL,
            "code": concept,
            "subject": reference,
            "encounter": reference,
            "onsetDateTime": date_time,
            "onsetPeriod": period,
            "abatementDateTime": date_time,
            "abatementPeriod": period,
            "recordedDate": date_time,
        },
        required=("code", "subject"),
        at_most_one=(
            ("onsetDateTime", "onsetPeriod", "onsetAge", "onsetRange", "onsetString"),
            ("abatementDateTime", "abatementPeriod", "abatementAge", "abatementRange", "abatementString"),
        ),
    ),
    "Observation": Fields(
        {
            "status": one_of(
                "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error",
                "unknown",
            ),
            "code": concept,
            "subject": reference,
            "encounter": reference,
            "focus": each(reference),
            "effectiveDateTime": date_time,
            "effectiveInstant": date_time,
            "effectivePeriod": period,
            "issued": date_time,
            **_VALUE_CHECKS,
            "component": each(shape(("code",), code=concept, **_VALUE_CHECKS)),
        },
        required=("status", "code", "subject"),
        at_most_one=(_VALUES, ("effectiveDateTime", "effectiveInstant", "effectivePeriod", "effectiveTiming")),
    ),
    "MedicationRequest": Fields(
        {
            "status": one_of(
                "active", "on-hold", "cancelled", "completed", "entered-in-error", "stopped", "draft", "unknown"
            ),
            "intent": one_of(
                "proposal", "plan", "order", "original-order", "reflex-order", "filler-order", "instance-order",
                "option",
            ),
            "doNotPerform": boolean,
            "medicationCodeableConcept": concept,
            "medicationReference": reference,
            "contained": each(shape(("resourceType",), resourceType=text, id=text, code=anything)),
            "subject": reference,
            "encounter": reference,
            "authoredOn": date_time,
            "dispenseRequest": shape(validityPeriod=period, expectedSupplyDuration=quantity),
        },
        required=("status", "intent", "subject"),
        any_of=(("medicationCodeableConcept", "medicationReference"),),
        at_most_one=(("medicationCodeableConcept", "medicationReference"),),
    ),
    "Medication": Fields({"code": concept}, patient=""),
    "Procedure": Fields(
        {
            "status": one_of(
                "preparation", "in-progress", "not-done", "on-hold", "stopped", "completed", "entered-in-error",
                "unknown",
            ),
            "code": concept,
            "subject": reference,
            "encounter": reference,
            "performedDateTime": date_time,
            "performedPeriod": period,
        },
        required=("status", "code", "subject"),
        at_most_one=(("performedDateTime", "performedPeriod", "performedString", "performedAge", "performedRange"),),
    ),
    "AllergyIntolerance": Fields(
        {
            **_CLINICAL,
            "category": each(one_of("food", "medication", "environment", "biologic")),
            "code": concept,
            "patient": reference,
            "encounter": reference,
            "onsetDateTime": date_time,
            "onsetPeriod": period,
            "recordedDate": date_time,
        },
        required=("code", "patient"),
        at_most_one=(("onsetDateTime", "onsetPeriod", "onsetAge", "onsetRange", "onsetString"),),
        patient="patient",
    ),
    "Communication": Fields(
        {
            "status": one_of(
                "preparation", "in-progress", "not-done", "on-hold", "stopped", "completed", "entered-in-error",
                "unknown",
            ),
            "subject": reference,
            "encounter": reference,
            "sender": reference,
            "recipient": each(reference),
            "inResponseTo": each(reference),
            "sent": date_time,
            "payload": each(shape(contentString=text)),
        },
        required=("status",),
    ),
}  # fmt: skip
