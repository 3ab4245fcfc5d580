"""Procedure: what was done, and when it began."""

from __future__ import annotations

from pipelines.records.extract.facts import RETRACTED, ExtractedFacts, ExtractionContext, Fact
from pipelines.records.extract.pregnancy import OUTCOME_CODE, count_span, is_birth_by_name, is_pregnancy_end
from pipelines.records.interpret.certainty import states_nothing
from pipelines.records.read.coding import choose_coding
from pipelines.records.read.fhir_time import choose_latest, read_latest_end, read_period_end, read_time
from pipelines.records.read.raw_resource import Resource

#: ``stopped`` ended before it was complete: what it would have done is not done.
_NOT_DONE = (RETRACTED, "not-done", "preparation", "on-hold", "stopped")

#: The facet of a birth that only the procedure's name states.
OUTCOME = "outcome"


def extract_procedure(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The procedure at its start; none where it was not done."""
    start = context.check_past(read_time(resource, "performedDateTime", "performedPeriod"), "performed")
    end = context.check_past(read_period_end(resource, "performedPeriod"), "performedPeriod.end")
    if resource["status"] in _NOT_DONE or states_nothing(resource["code"]):
        return ExtractedFacts(facets=("", OUTCOME))
    concept = context.clean_concept(choose_coding(resource["code"]))
    time, span = start, None
    named = not is_pregnancy_end(concept.code) and is_birth_by_name(concept.text)
    if named or is_pregnancy_end(concept.code):  # a period is of labour: its end is the birth
        time = choose_latest(start, end)
        time, span = count_span(_read_day(resource), context.end) or (time, None)
    fact = Fact("procedure", concept.code, time, number=span, text=concept.text, known=choose_latest(start, end, time))
    facts = [fact]
    if named:
        facts.append(
            Fact("observation", OUTCOME_CODE, time, number=span, text="ended", facet=OUTCOME, known=fact.known)
        )
    latest_end = read_latest_end(resource, "performedPeriod")
    row = {"code": concept.code, "text": concept.text, "start": start, "end": latest_end}
    return ExtractedFacts(facts, [("procedures", row)], facets=(OUTCOME,))


def _read_day(resource: Resource) -> str | None:
    """The day of a procedure as written, of a period its end."""
    period = resource.get("performedPeriod", {})
    day: str | None = resource.get("performedDateTime") or period.get("end") or period.get("start")
    return day
