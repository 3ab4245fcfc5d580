"""Encounter: visits, missed visits and emergency visits."""

from __future__ import annotations

from pipelines.records.extract.facts import RETRACTED, UNDATED, ExtractedFacts, ExtractionContext, Fact
from pipelines.records.read.coding import CodedConcept, choose_coding
from pipelines.records.read.fhir_time import choose_latest, read_latest_end, read_period_end, read_time
from pipelines.records.read.raw_resource import Resource

_MISSED = ("cancelled", "noshow")
_EMERGENCY_TYPES = ("SNOMED//50849002", "SNOMED//4525004", "SNOMED//183452005")


def extract_encounter(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """One encounter at its start; none where it is planned, or nothing says when it was."""
    status = resource["status"]
    start = context.check_past(read_time(resource, "period"), "period.start")
    end = context.check_past(read_period_end(resource, "period"), "period.end")
    if status in (RETRACTED, "planned"):
        return ExtractedFacts(facets=("",))
    if start is None:
        return ExtractedFacts(facets=("",), ignored=UNDATED)
    concept = _read_type(resource, context)
    emergency = resource["class"].get("code") == "EMER" or concept.code in _EMERGENCY_TYPES
    emergency = emergency or "emergency" in concept.text.lower()
    kind = "encounter.missed" if status in _MISSED else "encounter.emergency" if emergency else "encounter"
    fact = Fact(kind, concept.code, start, text=concept.text or None, known=choose_latest(start, end))
    return ExtractedFacts(
        [fact], [("encounters", {"code": concept.code, "start": start, "end": read_latest_end(resource, "period")})]
    )


def _read_type(resource: Resource, context: ExtractionContext) -> CodedConcept:
    """The encounter's first type; where it has none, its class."""
    if resource.get("type"):
        return context.clean_concept(choose_coding(resource["type"][0]))
    kind = resource["class"]
    code = choose_coding({"coding": [kind], "text": kind.get("display", "")}) if "code" in kind else None
    label = code.code.partition("//")[2] if code else "UNKNOWN"
    return context.clean_concept(CodedConcept(f"ENCOUNTER//{label}", code.text if code else "", False))
