"""Procedure: what was done, when it began."""

from __future__ import annotations

from pipelines.records.extract.facts import RETRACTED, Context, Fact, Facts, end_of_period, later, latest_end, when
from pipelines.records.read.coding import choose_coding
from pipelines.records.read.raw_resource import Resource

_NOT_DONE = (RETRACTED, "not-done", "preparation")


def procedure(resource: Resource, context: Context) -> Facts:
    """The procedure at its start; nothing where it was not done."""
    start = context.past(when(resource, "performedDateTime", "performedPeriod"), "performed")
    end = context.past(end_of_period(resource, "performedPeriod"), "performedPeriod.end")
    if resource["status"] in _NOT_DONE:
        return Facts(facets=("",))
    what = context.clean(choose_coding(resource["code"]))
    fact = Fact("procedure", what.code, start, text=what.text, known=later(start, end))
    row = {"code": what.code, "text": what.text, "start": start, "end": latest_end(resource, "performedPeriod")}
    return Facts([fact], [("procedures", row)])
