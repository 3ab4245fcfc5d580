"""AllergyIntolerance: what the patient must not be given."""

from __future__ import annotations

from models.vocabulary import find_drug_class
from pipelines.records.extract.facts import ExtractedFacts, ExtractionContext, Fact
from pipelines.records.interpret.certainty import SUSPECTED, WITHDRAWN, read_certainty, states_nothing
from pipelines.records.read.coding import CodedConcept, choose_coding, read_status_code
from pipelines.records.read.fhir_time import choose_latest, read_time
from pipelines.records.read.raw_resource import Resource

_DRUG_SYSTEMS = ("RXNORM", "NDC", "ATC")
#: Facets of facts that stand for a quarantined version (``pipelines.records.unread_allergies``).
UNREAD, DISPUTED = "unread", "disputed"
_FACETS = ("", UNREAD, DISPUTED)
_KINDS = {"medication": "medication", "biologic": "medication", "food": "food", "environment": "environment"}


def extract_allergy(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The allergy at its onset, else when recorded; none where over or refuted.

    An unconfirmed allergy stays one: its kind says that it is unconfirmed.
    """
    recorded = context.check_past(read_time(resource, "recordedDate"), "recordedDate")
    onset = context.check_past(read_time(resource, "onsetDateTime", "onsetPeriod"), "onset")
    concept = context.clean_concept(choose_coding(resource["code"]))
    certainty = read_certainty(resource)
    over = read_status_code(resource.get("clinicalStatus")) in ("inactive", "resolved")
    if certainty in WITHDRAWN or over or states_nothing(resource["code"]):
        return ExtractedFacts(facets=_FACETS)
    start = onset if onset is not None else recorded
    fact = Fact(
        f"allergy.{'unconfirmed.' if certainty in SUSPECTED else ''}{_choose_kind(resource, concept)}",
        concept.code,
        start,
        text=concept.text,
        known=choose_latest(recorded, start),
    )
    row = {"code": concept.code, "text": concept.text, "start": start}
    return ExtractedFacts([fact], [("allergies", row)], facets=_FACETS)


def _choose_kind(resource: Resource, concept: CodedConcept) -> str:
    """Medication where category, code system or name says so: none may be missed."""
    categories = [_KINDS[c] for c in resource.get("category", [])]
    if "medication" in categories or concept.code.partition("//")[0] in _DRUG_SYSTEMS or find_drug_class(concept.text):
        return "medication"
    return categories[0] if categories else "other"
