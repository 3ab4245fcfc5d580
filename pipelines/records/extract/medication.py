"""Medicines as ordered, handed out, given or stated to be taken, with their supply.

The number of a ``medicine`` fact is how many days after its time the stated supply ends.
"""

from __future__ import annotations

from typing import Any

from models.vocabulary import MEDICATION_END_CODE
from pipelines.records.extract.facts import END, RETRACTED, UNDATED, ExtractedFacts, ExtractionContext, Fact
from pipelines.records.extract.supply import (
    add_days,
    count_supply_days,
    read_days,
    read_end,
    read_order_end,
    read_statement_end,
)
from pipelines.records.interpret.certainty import states_nothing
from pipelines.records.read.coding import CodedConcept, choose_coding
from pipelines.records.read.fhir_time import Micros, choose_latest, read_time
from pipelines.records.read.identity import read_reference
from pipelines.records.read.raw_resource import Resource, ResourceError
from pipelines.records.validate.elements import check_concept

#: ``on-hold``: not taken for now; a later version says when it is again.
_ENDED = ("stopped", "completed", "cancelled", "on-hold")
_NOT_ORDERED = ("proposal", "plan", "option")
_NOT_TAKEN = ("not-taken", "intended", "unknown", RETRACTED)
_NOT_GIVEN = ("preparation", "cancelled", "on-hold", "declined", "not-done", "in-progress", "unknown", RETRACTED)


def extract_medication(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """No fact of its own: requests that refer to a Medication read its code."""
    return ExtractedFacts()


def extract_medication_request(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The drug when ordered, with its supply, and its end; none where the request is no order."""
    authored = context.check_past(read_time(resource, "authoredOn"), "authoredOn")
    status = resource["status"]
    if status in (RETRACTED, "draft") or resource["intent"] in _NOT_ORDERED or resource.get("doNotPerform"):
        return ExtractedFacts(facets=("", END))
    if states_nothing(resource.get("medicationCodeableConcept", {})):
        return ExtractedFacts(facets=("", END))
    concept = context.clean_concept(_find_drug(resource, context))
    end = read_order_end(resource, authored)
    facts = [_build_medicine(concept, authored, end, authored)]
    if status in _ENDED:
        over = min(end, context.end) if end is not None else authored
        parent = ("MedicationRequest", resource["id"])
        facts.append(
            Fact("medicine.end", MEDICATION_END_CODE, over, text=concept.code, facet=END, known=over, parent=parent)
        )
    return ExtractedFacts(facts, [("medicines", _build_row(concept, authored))], facets=(END,))


def extract_medication_statement(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The drug that a patient is stated to take, when that was stated, and its end."""
    asserted = context.check_past(read_time(resource, "dateAsserted"), "dateAsserted")
    start = read_time(resource, "effectiveDateTime", "effectivePeriod")
    planned = start is not None and start > context.end
    if resource["status"] in _NOT_TAKEN or planned or states_nothing(resource.get("medicationCodeableConcept", {})):
        return ExtractedFacts(facets=("", END))
    concept = context.clean_concept(_find_drug(resource, context))
    stated = choose_latest(asserted, start)
    end = read_statement_end(resource, start)
    facts = [_build_medicine(concept, stated, end, stated)]
    if resource["status"] in _ENDED or (end is not None and stated is not None and end <= stated):
        over = min(end, context.end) if end is not None else stated
        parent = ("MedicationStatement", resource["id"])
        facts.append(
            Fact("medicine.end", MEDICATION_END_CODE, over, text=concept.code, facet=END, known=over, parent=parent)
        )
    return ExtractedFacts(facts, [("medicines", _build_row(concept, stated))], facets=(END,))


def extract_medication_dispense(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The drug handed out, for the days of its supply; it ends with the order that it is part of."""
    at = context.check_past(read_time(resource, "whenHandedOver", "whenPrepared"), "whenHandedOver")
    if resource["status"] in (*_NOT_GIVEN, "stopped"):
        return ExtractedFacts(facets=("",))
    if at is None:
        return ExtractedFacts(facets=("",), ignored=UNDATED)
    concept = context.clean_concept(_find_drug(resource, context))
    end = add_days(at, read_days(resource.get("daysSupply")))
    orders = map(read_reference, resource.get("authorizingPrescription", []))
    order = next((("MedicationRequest", o[1]) for o in orders if o and o[0] == "MedicationRequest"), None)
    return ExtractedFacts(
        [_build_medicine(concept, at, end, at)._replace(parent=order)], [("medicines", _build_row(concept, at))]
    )


def extract_medication_administration(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The drug given, for the time of giving, at least a day."""
    at = context.check_past(read_time(resource, "effectiveDateTime", "effectivePeriod"), "effective")
    if resource["status"] in _NOT_GIVEN:
        return ExtractedFacts(facets=("",))
    if at is None:
        return ExtractedFacts(facets=("",), ignored=UNDATED)
    concept = context.clean_concept(_find_drug(resource, context))
    end = choose_latest(add_days(at, 1), read_end(resource.get("effectivePeriod")))
    return ExtractedFacts([_build_medicine(concept, at, end, at)], [("medicines", _build_row(concept, at))])


def _build_medicine(concept: CodedConcept, time: Micros | None, end: Micros | None, known: Micros | None) -> Fact:
    days = count_supply_days(time, end)
    unit = None if days is None else "d"
    return Fact("medicine", concept.code, time, number=days, text=concept.text, unit=unit, known=known)


def _build_row(concept: CodedConcept, start: Micros | None) -> dict[str, Any]:
    return {"code": concept.code, "text": concept.text, "start": start}


def _find_drug(resource: Resource, context: ExtractionContext) -> CodedConcept:
    """The drug of the request, its Medication or the reference's display."""
    if "medicationCodeableConcept" in resource:
        return choose_coding(resource["medicationCodeableConcept"])
    reference = resource["medicationReference"]
    target = read_reference(reference)
    if target is not None and reference["reference"].startswith("#"):
        inner = [c for c in resource.get("contained", []) if c.get("id") == target[1].removeprefix("#")]
        drug = _read_contained(inner[0]["code"]) if inner and "code" in inner[0] else None
    else:
        drug = context.find_medication(target[1]) if target is not None else None
    if drug is None and "display" in reference:
        return choose_coding({"text": reference["display"]})
    if drug is None:
        raise ResourceError("unknown_medication", "medicationReference leads to no Medication with a code")
    return drug


def _read_contained(code: Any) -> CodedConcept:
    check_concept(code, "contained.code")
    return choose_coding(code)
