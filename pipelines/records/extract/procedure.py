"""Procedure: what was done, when it began."""

from __future__ import annotations

from pipelines.records.extract.facts import (
    RETRACTED,
    ExtractedFacts,
    ExtractionContext,
    Fact,
    choose_latest,
    read_latest_end,
    read_period_end,
    read_time,
)
from pipelines.records.read.coding import choose_coding
from pipelines.records.read.raw_resource import Resource

_NOT_DONE = (RETRACTED, "not-done", "preparation")


def extract_procedure(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The procedure at its start; nothing where it was not done."""
    start = context.past(read_time(resource, "performedDateTime", "performedPeriod"), "performed")
    end = context.past(read_period_end(resource, "performedPeriod"), "performedPeriod.end")
    if resource["status"] in _NOT_DONE:
        return ExtractedFacts(facets=("",))
    what = context.clean(choose_coding(resource["code"]))
    fact = Fact("procedure", what.code, start, text=what.text, known=choose_latest(start, end))
    row = {"code": what.code, "text": what.text, "start": start, "end": read_latest_end(resource, "performedPeriod")}
    return ExtractedFacts([fact], [("procedures", row)])
