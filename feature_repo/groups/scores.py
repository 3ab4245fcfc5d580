"""Self-reported scores: PHQ-9, PHQ-2, GAD-7, pain, AUDIT-C.

Unit: points of each scale. Features of each: see ``signals``.
"""

from __future__ import annotations

from datetime import timedelta

from feast import FeatureView, FileSource
from ibis.expr.types import Table

from feature_repo import signals
from feature_repo.entities import subject

NAMES = ("phq9", "phq2", "gad7", "pain", "audit_c")


def expression(events: Table, moments: Table) -> Table:
    """Summarise the scores as known at each moment."""
    return signals.build_expression(events, moments, NAMES)


source = FileSource(
    name="scores",
    path="data/features/scores/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

view = FeatureView(
    name="scores",
    entities=[subject],
    ttl=timedelta(0),
    schema=signals.build_fields(*NAMES),
    source=source,
    owner="data-engineering",
    description="Latest value, own band and trend of the scores.",
)
