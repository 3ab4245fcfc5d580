"""Laboratory values: haemoglobin, glucose, HbA1c.

Units: g/dL, mg/dL, % (converted on the way in). Features of each: see ``signals``.
"""

from __future__ import annotations

from datetime import timedelta

from feast import FeatureView, FileSource
from ibis.expr.types import Table

from feature_repo import signals
from feature_repo.entities import subject

NAMES = ("haemoglobin", "glucose", "hba1c")


def expression(events: Table, moments: Table) -> Table:
    """Summarise the laboratory values as known at each moment."""
    return signals.build_expression(events, moments, NAMES)


source = FileSource(
    name="labs",
    path="data/features/labs/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

view = FeatureView(
    name="labs",
    entities=[subject],
    ttl=timedelta(0),
    schema=signals.build_fields(*NAMES),
    source=source,
    owner="data-engineering",
    description="Latest value, own band and trend of the laboratory values.",
)
