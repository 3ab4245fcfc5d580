"""Order a reply's rules by what a patient, or a site, puts first.

    rows'  =  rules on allergies, then rules on facts of the emphasised kind, then the rest; each by clinical weight

Which two rules the reply states depends on that order. Allergies are never moved back.
"""

from __future__ import annotations

from pipelines.synthetic.portal.rules import RuleRow, Topic
from pipelines.synthetic.records.likeness import SITE_EMPHASIS, Concern, Likeness
from pipelines.synthetic.records.options import ClinicOptions


def find_emphasis(topic: Topic, likeness: Likeness, options: ClinicOptions) -> Concern | None:
    """Find the kind of fact that comes first in replies of this topic to this patient; None in a control."""
    if topic.mechanism not in options.mechanisms:
        return None
    if topic.mechanism == "shared_traits":
        return likeness.concern
    return SITE_EMPHASIS[likeness.site] if topic.mechanism == "local_practice" else None


def order_rows(rows: list[RuleRow], emphasis: Concern | None) -> list[RuleRow]:
    """Order the rules by the emphasis, stable in their clinical weight."""
    if emphasis is None:
        return rows
    return sorted(rows, key=lambda row: 0 if "allergies" in row.facts else 1 if _find_kind(row) == emphasis else 2)


def _find_kind(row: RuleRow) -> Concern | None:
    """The kind of a rule's first fact."""
    key = row.facts[0]
    if key.endswith((".latest", ".change")):
        return "numbers"
    return {"medicine": "medicines", "no": "absences", "condition": "conditions"}.get(key.partition(".")[0])  # type: ignore[return-value]
