"""RelatedPerson: the birth of the patient's child, which ends a pregnancy; other persons state nothing."""

from __future__ import annotations

from models.patient.pregnancy_statements import CHILD_CODE
from pipelines.records.extract.facts import ExtractedFacts, ExtractionContext, Fact
from pipelines.records.extract.pregnancy import count_span
from pipelines.records.read.fhir_time import read_time
from pipelines.records.read.raw_resource import Resource

#: HL7 v3 RoleCode: a child by birth; adopted, foster and step children are other codes.
_CHILD = ("CHILD", "NCHILD", "SON", "DAU", "SONC", "DAUC")


def extract_related_person(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The child's birth at its date."""
    born = context.check_past(read_time(resource, "birthDate"), "birthDate")
    codes = [c.get("code") for concept in resource.get("relationship", []) for c in concept.get("coding", [])]
    if born is None or not any(code in _CHILD for code in codes) or resource.get("active") is False:
        return ExtractedFacts(facets=("",))
    last, span = count_span(resource["birthDate"], context.end) or (born, None)
    return ExtractedFacts([Fact("observation", CHILD_CODE, last, number=span, text="born", known=last)])
