"""The fields PMLM reads of each resource type, with their checks: allowlist and structural tier.

Nothing else reaches the event log. Names, addresses, phones and identifiers are read in ``deidentify.identifiers``,
only to mask them in free text.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records.validate.elements import (
    Check,
    accept_anything,
    check_boolean,
    check_coding,
    check_concept,
    check_date_time,
    check_each,
    check_integer,
    check_object,
    check_one_of,
    check_period,
    check_quantity,
    check_reference,
    check_text,
)


@dataclass(frozen=True, slots=True)
class ResourceFields:
    """The fields of one resource type: checks, required fields, and the reference to the patient.

    Of each group in ``any_of`` at least one field must be there, of each in ``at_most_one`` no second one.
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
    "valueQuantity": check_quantity,
    "valueInteger": check_integer,
    "valueBoolean": check_boolean,
    "valueCodeableConcept": check_concept,
    "valueDateTime": check_date_time,
    "valueString": check_text,
    "dataAbsentReason": check_concept,
}

_BOUNDS = check_object(
    boundsPeriod=check_period, boundsDuration=check_quantity, boundsRange=check_object(high=check_quantity)
)
_DOSAGES = check_each(check_object(timing=check_object(repeat=_BOUNDS)))
_MEDICATION: dict[str, Check] = {
    "medicationCodeableConcept": check_concept,
    "medicationReference": check_reference,
    "contained": check_each(
        check_object(("resourceType",), resourceType=check_text, id=check_text, code=accept_anything)
    ),
    "subject": check_reference,
}
_ONE_MEDICATION = ("medicationCodeableConcept", "medicationReference")

_CLINICAL: dict[str, Check] = {"clinicalStatus": check_concept, "verificationStatus": check_concept}

FIELDS: dict[str, ResourceFields] = {
    "Patient": ResourceFields(
        {
            "birthDate": check_date_time,
            "deceasedDateTime": check_date_time,
            "deceasedBoolean": check_boolean,
            "gender": check_one_of("male", "female", "other", "unknown"),
            "communication": check_each(check_object(language=check_concept, preferred=check_boolean)),
        },
        at_most_one=(("deceasedDateTime", "deceasedBoolean"),),
        patient="",
    ),
    "Encounter": ResourceFields(
        {
            "status": check_one_of(
                "planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled", "noshow",
                "entered-in-error", "unknown",
            ),
            "class": check_coding,
            "type": check_each(check_concept),
            "subject": check_reference,
            "period": check_period,
        },
        required=("status", "class", "subject"),
    ),
    "Condition": ResourceFields(
        {
            **_CLINICAL,
            "code": check_concept,
            "subject": check_reference,
            "encounter": check_reference,
            "onsetDateTime": check_date_time,
            "onsetPeriod": check_period,
            "abatementDateTime": check_date_time,
            "abatementPeriod": check_period,
            "abatementAge": accept_anything,
            "abatementRange": accept_anything,
            "abatementString": accept_anything,
            "recordedDate": check_date_time,
        },
        required=("code", "subject"),
        at_most_one=(
            ("onsetDateTime", "onsetPeriod", "onsetAge", "onsetRange", "onsetString"),
            ("abatementDateTime", "abatementPeriod", "abatementAge", "abatementRange", "abatementString"),
        ),
    ),
    "Observation": ResourceFields(
        {
            "status": check_one_of(
                "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error",
                "unknown",
            ),
            "code": check_concept,
            "subject": check_reference,
            "encounter": check_reference,
            "focus": check_each(check_reference),
            "specimen": check_reference,
            "bodySite": check_concept,
            "meta": accept_anything,
            "extension": check_each(accept_anything),
            "contained": check_each(accept_anything),
            "effectiveDateTime": check_date_time,
            "effectiveInstant": check_date_time,
            "effectivePeriod": check_period,
            "issued": check_date_time,
            "method": check_concept,
            **_VALUE_CHECKS,
            "component": check_each(check_object(("code",), code=check_concept, **_VALUE_CHECKS)),
        },
        required=("status", "code", "subject"),
        at_most_one=(_VALUES, ("effectiveDateTime", "effectiveInstant", "effectivePeriod", "effectiveTiming")),
    ),
    "MedicationRequest": ResourceFields(
        {
            "status": check_one_of(
                "active", "on-hold", "cancelled", "completed", "entered-in-error", "stopped", "draft", "unknown"
            ),
            "intent": check_one_of(
                "proposal", "plan", "order", "original-order", "reflex-order", "filler-order", "instance-order",
                "option",
            ),
            "doNotPerform": check_boolean,
            **_MEDICATION,
            "encounter": check_reference,
            "authoredOn": check_date_time,
            "dispenseRequest": check_object(
                validityPeriod=check_period,
                expectedSupplyDuration=check_quantity,
                numberOfRepeatsAllowed=check_integer,
            ),
            "dosageInstruction": _DOSAGES,
        },
        required=("status", "intent", "subject"),
        any_of=(_ONE_MEDICATION,),
        at_most_one=(_ONE_MEDICATION,),
    ),
    "MedicationStatement": ResourceFields(
        {
            "status": check_one_of(
                "active", "completed", "entered-in-error", "intended", "stopped", "on-hold", "unknown", "not-taken"
            ),
            **_MEDICATION,
            "effectiveDateTime": check_date_time,
            "effectivePeriod": check_period,
            "dateAsserted": check_date_time,
            "dosage": _DOSAGES,
        },
        required=("status", "subject"),
        any_of=(_ONE_MEDICATION,),
        at_most_one=(_ONE_MEDICATION, ("effectiveDateTime", "effectivePeriod")),
    ),
    "MedicationDispense": ResourceFields(
        {
            "status": check_one_of(
                "preparation", "in-progress", "cancelled", "on-hold", "completed", "entered-in-error", "stopped",
                "declined", "unknown",
            ),
            **_MEDICATION,
            "authorizingPrescription": check_each(check_reference),
            "daysSupply": check_quantity,
            "whenPrepared": check_date_time,
            "whenHandedOver": check_date_time,
        },
        required=("status", "subject"),
        any_of=(_ONE_MEDICATION,),
        at_most_one=(_ONE_MEDICATION,),
    ),
    "MedicationAdministration": ResourceFields(
        {
            "status": check_one_of(
                "in-progress", "not-done", "on-hold", "completed", "entered-in-error", "stopped", "unknown"
            ),
            **_MEDICATION,
            "effectiveDateTime": check_date_time,
            "effectivePeriod": check_period,
        },
        required=("status", "subject"),
        any_of=(_ONE_MEDICATION,),
        at_most_one=(_ONE_MEDICATION, ("effectiveDateTime", "effectivePeriod")),
    ),
    "Medication": ResourceFields({"code": check_concept}, patient=""),
    "Procedure": ResourceFields(
        {
            "status": check_one_of(
                "preparation", "in-progress", "not-done", "on-hold", "stopped", "completed", "entered-in-error",
                "unknown",
            ),
            "code": check_concept,
            "subject": check_reference,
            "encounter": check_reference,
            "performedDateTime": check_date_time,
            "performedPeriod": check_period,
        },
        required=("status", "code", "subject"),
        at_most_one=(("performedDateTime", "performedPeriod", "performedString", "performedAge", "performedRange"),),
    ),
    "AllergyIntolerance": ResourceFields(
        {
            **_CLINICAL,
            "category": check_each(check_one_of("food", "medication", "environment", "biologic")),
            "code": check_concept,
            "patient": check_reference,
            "encounter": check_reference,
            "onsetDateTime": check_date_time,
            "onsetPeriod": check_period,
            "recordedDate": check_date_time,
        },
        required=("code", "patient"),
        at_most_one=(("onsetDateTime", "onsetPeriod", "onsetAge", "onsetRange", "onsetString"),),
        patient="patient",
    ),
    "Communication": ResourceFields(
        {
            "status": check_one_of(
                "preparation", "in-progress", "not-done", "on-hold", "stopped", "completed", "entered-in-error",
                "unknown",
            ),
            "subject": check_reference,
            "encounter": check_reference,
            "sender": check_reference,
            "recipient": check_each(check_reference),
            "inResponseTo": check_each(check_reference),
            "sent": check_date_time,
            "payload": check_each(check_object(contentString=check_text)),
        },
        required=("status",),
    ),
    "EpisodeOfCare": ResourceFields(
        {
            "status": check_one_of(
                "planned", "waitlist", "active", "onhold", "finished", "cancelled", "entered-in-error"
            ),
            "type": check_each(check_concept),
            "patient": check_reference,
            "period": check_period,
        },
        required=("status", "patient"),
        patient="patient",
    ),
    "RelatedPerson": ResourceFields(
        {
            "active": check_boolean,
            "patient": check_reference,
            "relationship": check_each(check_concept),
            "birthDate": check_date_time,
        },
        required=("patient",),
        patient="patient",
    ),
}  # fmt: skip
