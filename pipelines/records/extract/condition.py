"""Condition: its start, and its end as a fact of its own."""

from __future__ import annotations

from models.vocabulary import CONCEPTS, CONDITION_END_CODE
from pipelines.records.extract.facts import END, ExtractedFacts, ExtractionContext, Fact
from pipelines.records.extract.pregnancy import count_span, is_pregnancy_end
from pipelines.records.interpret.certainty import SUSPECTED, WITHDRAWN, read_certainty, states_nothing
from pipelines.records.interpret.other_subjects import find_condition_subject
from pipelines.records.read.coding import choose_coding, read_status_code
from pipelines.records.read.fhir_time import (
    MICROS_PER_DAY,
    Micros,
    choose_latest,
    parse_latest_time,
    parse_time,
    read_latest_end,
    read_period_end,
    read_time,
)
from pipelines.records.read.raw_resource import Resource

PREGNANCY = next(concept.codes for concept in CONCEPTS if concept.name == "pregnancy")
_OVER = ("inactive", "remission", "resolved")
_OPEN = ("active", "recurrence", "relapse")
#: Any ``abatement[x]`` says that the condition is over; these do not say when.
_UNDATED = ("abatementAge", "abatementRange", "abatementString")


def extract_condition(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The condition at its onset and its end at abatement, else both when recorded.

    A condition that is only suspected is a fact of another kind, and none where it is over. The end of a Period of
    onset is an end only where the status does not call the condition open: FHIR means an imprecise onset by it.
    """
    recorded = context.check_past(read_time(resource, "recordedDate"), "recordedDate")
    onset = context.check_past(read_time(resource, "onsetDateTime", "onsetPeriod"), "onset")
    status, certainty = read_status_code(resource.get("clinicalStatus")), read_certainty(resource)
    abated = read_time(resource, "abatementDateTime", "abatementPeriod")
    undated = any(name in resource for name in (*_UNDATED, "abatementPeriod"))
    if abated is None and not undated and status not in _OPEN:
        abated = read_period_end(resource, "onsetPeriod")
    context.check_past(abated, "abatement")
    context.check_past(read_period_end(resource, "abatementPeriod"), "abatementPeriod.end")
    if subject := find_condition_subject(resource):
        return ExtractedFacts(facets=("", END), ignored=subject)
    over = abated is not None or undated or status in _OVER
    suspected = certainty in SUSPECTED
    if certainty in WITHDRAWN or states_nothing(resource["code"]) or (suspected and over):
        return ExtractedFacts(facets=("", END))
    concept = context.clean_concept(choose_coding(resource["code"]))
    start = onset if onset is not None else recorded
    kind = "condition.suspected" if suspected else "condition"
    time, span = start, None
    if is_pregnancy_end(concept.code):
        time, span = count_span(resource.get("onsetDateTime"), context.end) or (start, None)
    known = choose_latest(recorded, time)
    facts = [Fact(kind, concept.code, time, number=span, text=concept.text, known=known)]
    if over:
        facts.append(_read_end(resource, context, concept.code, abated, (start, recorded)))
    elif concept.code in PREGNANCY:
        context.mark_active("Condition", resource)
    latest_end = read_latest_end(resource, "abatementDateTime", "abatementPeriod", "onsetPeriod")
    row = {"code": concept.code, "text": concept.text, "start": onset, "end": latest_end}
    return ExtractedFacts(facts, [("conditions", row)], facets=(END,))


def _read_end(resource: Resource, context: ExtractionContext, code: str, abated: Micros | None,
              begun: tuple[Micros | None, Micros | None]) -> Fact:  # fmt: skip
    """The end at abatement, else when recorded; of a pregnancy with the days before it that are possible too.

    A Period of abatement lasts to its end, one without an end until now.
    """
    start, recorded = begun
    end, span = choose_latest(abated, start) if abated is not None else choose_latest(recorded, start), None
    if code in PREGNANCY and abated is None:
        end, span = context.bound_end("Condition", resource, start)
    elif code in PREGNANCY and "abatementPeriod" in resource:
        end, span = _bound_period(resource["abatementPeriod"], start, context.end)
    elif code in PREGNANCY and (partial := count_span(resource.get("abatementDateTime"), context.end)) is not None:
        end, span = choose_latest(partial[0], start), partial[1]
    parent = ("Condition", resource["id"])
    return Fact("condition.end", CONDITION_END_CODE, end, number=span, text=code, facet=END, known=end, parent=parent)


def _bound_period(period: Resource, start: Micros | None, now: Micros) -> tuple[Micros | None, float | None]:
    """The latest time of an end within a period, and the days before it that are possible too."""
    first = choose_latest(parse_time(period["start"]) if "start" in period else None, start)
    last = min(now, parse_latest_time(period["end"]) or now) if "end" in period else now
    days = None if first is None else float(max(0, last // MICROS_PER_DAY - first // MICROS_PER_DAY))
    return choose_latest(last, first), days
