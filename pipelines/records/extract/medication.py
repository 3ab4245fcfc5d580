"""MedicationRequest: a drug and its end; Medication: the drug that a request refers to."""

from __future__ import annotations

from typing import Any

from models.vocabulary import MEDICATION_END_CODE
from pipelines.records.extract.facts import END, RETRACTED, ExtractedFacts, ExtractionContext, Fact
from pipelines.records.read.coding import CodedConcept, choose_coding
from pipelines.records.read.fhir_time import MICROS_PER_DAY, Micros, parse_time, read_time
from pipelines.records.read.identity import read_reference
from pipelines.records.read.raw_resource import Resource, ResourceError
from pipelines.records.validate.elements import check_concept

_ENDED = ("stopped", "completed", "cancelled")
_NOT_ORDERED = ("proposal", "plan", "option")
_DAYS = {"d": 1, "wk": 7, "mo": 30, "a": 365, "day": 1, "days": 1, "week": 7, "weeks": 7, "month": 30, "months": 30}


def extract_medication(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """No fact of its own: requests that refer to a Medication read its code."""
    return ExtractedFacts()


def extract_medication_request(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The drug when ordered, and its end; none where the request is no order."""
    authored = context.check_past(read_time(resource, "authoredOn"), "authoredOn")
    status = resource["status"]
    if status in (RETRACTED, "draft") or resource["intent"] in _NOT_ORDERED or resource.get("doNotPerform"):
        return ExtractedFacts(facets=("", END))
    concept = context.clean_concept(_find_drug(resource, context))
    facts = [Fact("medicine", concept.code, authored, text=concept.text, known=authored)]
    end = _read_supply_end(resource, authored) if status in _ENDED else None
    if status in _ENDED:
        over = min(end, context.end) if end is not None else authored
        parent = ("MedicationRequest", resource["id"])
        facts.append(
            Fact("medicine.end", MEDICATION_END_CODE, over, text=concept.code, facet=END, known=over, parent=parent)
        )
    row = {"code": concept.code, "text": concept.text, "start": authored}
    return ExtractedFacts(facts, [("medicines", row)], facets=(END,))


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
