"""Condition: its start, and its end as a fact of its own."""

from __future__ import annotations

from models.vocabulary import CONDITION_END_CODE
from pipelines.records.extract.facts import END, RETRACTED, Context, Fact, Facts, end_of_period, later, latest_end, when
from pipelines.records.read.coding import choose_coding, read_status_code
from pipelines.records.read.fhir_time import Micros
from pipelines.records.read.raw_resource import Resource

_OVER = ("inactive", "remission", "resolved")
_WITHDRAWN = (RETRACTED, "refuted")


def condition(resource: Resource, context: Context) -> Facts:
    """The condition at its onset (else when recorded), and its end at abatement (else when last said to be over)."""
    recorded = context.past(when(resource, "recordedDate"), "recordedDate")
    onset = context.past(when(resource, "onsetDateTime", "onsetPeriod"), "onset")
    abated = when(resource, "abatementDateTime", "abatementPeriod") or end_of_period(resource, "onsetPeriod")
    context.past(abated, "abatement")
    if read_status_code(resource.get("verificationStatus")) in _WITHDRAWN:
        return Facts(facets=("", END))
    what = context.clean(choose_coding(resource["code"]))
    start = onset if onset is not None else recorded
    facts = [Fact("condition", what.code, start, text=what.text, known=later(recorded, start))]
    over = abated is not None or read_status_code(resource.get("clinicalStatus")) in _OVER
    if over:
        end = later(abated, start) if abated is not None else later(recorded, start)
        answers = ("Condition", resource["id"])
        facts.append(
            Fact("condition.end", CONDITION_END_CODE, end, text=what.code, facet=END, known=end, answers=answers)
        )
    row = {"code": what.code, "text": what.text, "start": onset, "end": _latest_end(resource)}
    return Facts(facts, [("conditions", row)], facets=(END,))


def _latest_end(resource: Resource) -> Micros | None:
    return latest_end(resource, "abatementDateTime", "abatementPeriod", "onsetPeriod")
