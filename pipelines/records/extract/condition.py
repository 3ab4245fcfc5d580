"""Condition: its start, and its end as a fact of its own."""

from __future__ import annotations

from models.vocabulary import CONDITION_END_CODE
from pipelines.records.extract.facts import END, ExtractedFacts, ExtractionContext, Fact
from pipelines.records.interpret.certainty import SUSPECTED, WITHDRAWN, read_certainty, states_nothing
from pipelines.records.interpret.other_subjects import find_condition_subject
from pipelines.records.read.coding import choose_coding, read_status_code
from pipelines.records.read.fhir_time import choose_latest, read_latest_end, read_period_end, read_time
from pipelines.records.read.raw_resource import Resource

_OVER = ("inactive", "remission", "resolved")


def extract_condition(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The condition at its onset and its end at abatement, else both when recorded.

    A condition that is only suspected is a fact of another kind, and none where it is over.
    """
    recorded = context.check_past(read_time(resource, "recordedDate"), "recordedDate")
    onset = context.check_past(read_time(resource, "onsetDateTime", "onsetPeriod"), "onset")
    abated = read_time(resource, "abatementDateTime", "abatementPeriod") or read_period_end(resource, "onsetPeriod")
    context.check_past(abated, "abatement")
    certainty = read_certainty(resource)
    if subject := find_condition_subject(resource):
        return ExtractedFacts(facets=("", END), ignored=subject)
    over = abated is not None or read_status_code(resource.get("clinicalStatus")) in _OVER
    suspected = certainty in SUSPECTED
    if certainty in WITHDRAWN or states_nothing(resource["code"]) or (suspected and over):
        return ExtractedFacts(facets=("", END))
    concept = context.clean_concept(choose_coding(resource["code"]))
    start = onset if onset is not None else recorded
    kind = "condition.suspected" if suspected else "condition"
    facts = [Fact(kind, concept.code, start, text=concept.text, known=choose_latest(recorded, start))]
    if over:
        end = choose_latest(abated, start) if abated is not None else choose_latest(recorded, start)
        parent = ("Condition", resource["id"])
        facts.append(
            Fact("condition.end", CONDITION_END_CODE, end, text=concept.code, facet=END, known=end, parent=parent)
        )
    latest_end = read_latest_end(resource, "abatementDateTime", "abatementPeriod", "onsetPeriod")
    row = {"code": concept.code, "text": concept.text, "start": onset, "end": latest_end}
    return ExtractedFacts(facts, [("conditions", row)], facets=(END,))
