"""AllergyIntolerance: what she must not be given."""

from __future__ import annotations

from models.vocabulary import find_drug_class
from pipelines.records.extract.facts import RETRACTED, ExtractedFacts, ExtractionContext, Fact, choose_latest, read_time
from pipelines.records.read.coding import CodedConcept, choose_coding, read_status_code
from pipelines.records.read.raw_resource import Resource

_DRUG_SYSTEMS = ("RXNORM", "NDC", "ATC")
_WITHDRAWN = (RETRACTED, "refuted")
#: "No known allergy" and its kinds are the absence of a fact, not an allergy.
_NONE_KNOWN = tuple(f"SNOMED//{c}" for c in ("716186003", "409137002", "428607008", "428197003", "429625007"))
_KINDS = {"medication": "medication", "biologic": "medication", "food": "food", "environment": "environment"}


def extract_allergy(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The allergy at its onset (else when recorded); nothing where it is over, refuted, or says "none known"."""
    recorded = context.past(read_time(resource, "recordedDate"), "recordedDate")
    onset = context.past(read_time(resource, "onsetDateTime", "onsetPeriod"), "onset")
    what = context.clean(choose_coding(resource["code"]))
    withdrawn = read_status_code(resource.get("verificationStatus")) in _WITHDRAWN
    over = read_status_code(resource.get("clinicalStatus")) in ("inactive", "resolved")
    if withdrawn or over or what.code in _NONE_KNOWN:
        return ExtractedFacts(facets=("",))
    start = onset if onset is not None else recorded
    fact = Fact(
        f"allergy.{_choose_kind(resource, what)}",
        what.code,
        start,
        text=what.text,
        known=choose_latest(recorded, start),
    )
    return ExtractedFacts([fact], [("allergies", {"code": what.code, "text": what.text, "start": start})])


def _choose_kind(resource: Resource, what: CodedConcept) -> str:
    """A drug where anything says so: the category, the code's system or the name; a drug allergy is never missed."""
    categories = [_KINDS[c] for c in resource.get("category", [])]
    if "medication" in categories or what.code.partition("//")[0] in _DRUG_SYSTEMS or find_drug_class(what.text):
        return "medication"
    return categories[0] if categories else "other"
