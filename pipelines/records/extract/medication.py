"""MedicationRequest: a drug ordered, and its end; Medication: the drug a request refers to."""

from __future__ import annotations

from typing import Any

from models.vocabulary import MEDICATION_END_CODE
from pipelines.records.extract.facts import END, RETRACTED, ExtractedFacts, ExtractionContext, Fact, read_time
from pipelines.records.read.coding import CodedConcept, choose_coding
from pipelines.records.read.fhir_time import MICROS_PER_DAY, Micros, parse_time
from pipelines.records.read.identity import read_reference
from pipelines.records.read.raw_resource import Resource, ResourceError
from pipelines.records.validate.elements import check_concept

_ENDED = ("stopped", "completed", "cancelled")
_NOT_ORDERED = ("proposal", "plan", "option")
_DAYS = {"d": 1, "wk": 7, "mo": 30, "a": 365, "day": 1, "days": 1, "week": 7, "weeks": 7, "month": 30, "months": 30}


def extract_medication(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """A Medication says nothing by itself: requests that refer to it read its code."""
    return ExtractedFacts()


def extract_medication_request(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The drug when ordered; its end where the request is over; nothing where it is no order."""
    authored = context.past(read_time(resource, "authoredOn"), "authoredOn")
    status = resource["status"]
    if status in (RETRACTED, "draft") or resource["intent"] in _NOT_ORDERED or resource.get("doNotPerform"):
        return ExtractedFacts(facets=("", END))
    what = context.clean(_find_drug(resource, context))
    facts = [Fact("medicine", what.code, authored, text=what.text, known=authored)]
    end = _read_supply_end(resource, authored) if status in _ENDED else None
    if status in _ENDED:
        over = min(end, context.end) if end is not None else authored
        answers = ("MedicationRequest", resource["id"])
        facts.append(
            Fact("medicine.end", MEDICATION_END_CODE, over, text=what.code, facet=END, known=over, answers=answers)
        )
    row = {"code": what.code, "text": what.text, "start": authored}
    return ExtractedFacts(facts, [("medicines", row)], facets=(END,))


def _find_drug(resource: Resource, context: ExtractionContext) -> CodedConcept:
    """The drug itself, from the request, a contained Medication, one of the drops, or the reference's display."""
    if "medicationCodeableConcept" in resource:
        return choose_coding(resource["medicationCodeableConcept"])
    pointer = resource["medicationReference"]
    target = read_reference(pointer)
    if target is not None and pointer["reference"].startswith("#"):
        inner = [c for c in resource.get("contained", []) if c.get("id") == target[1].removeprefix("#")]
        found = _read_contained(inner[0]["code"]) if inner and "code" in inner[0] else None
    else:
        found = context.medication(target[1]) if target is not None else None
    if found is None and "display" in pointer:
        return choose_coding({"text": pointer["display"]})
    if found is None:
        raise ResourceError("unknown_medication", "medicationReference leads to no Medication with a code")
    return found


def _read_contained(code: Any) -> CodedConcept:
    check_concept(code, "contained.code")
    return choose_coding(code)


def _read_supply_end(resource: Resource, authored: Micros | None) -> Micros | None:
    """The end of the validity period, else of the supply, else None."""
    dispense = resource.get("dispenseRequest", {})
    validity = dispense.get("validityPeriod", {})
    if "end" in validity:
        return parse_time(validity["end"])
    supply = dispense.get("expectedSupplyDuration", {})
    days = _DAYS.get(supply.get("code", supply.get("unit", "")))
    if authored is None or days is None or "value" not in supply:
        return None
    return authored + round(supply["value"] * days * MICROS_PER_DAY)
