"""Vital signs: weight, blood pressure, heart rate, temperature, body mass index.

Units: kg, mm[Hg], /min, Cel, kg/m2 (converted on the way in). Features of each: see ``signals``.
"""

from __future__ import annotations

from datetime import timedelta

from feast import FeatureView, FileSource
from ibis.expr.types import Table

from feature_repo import signals
from feature_repo.entities import subject

NAMES = ("weight", "systolic", "diastolic", "heart_rate", "temperature", "bmi")


def expression(events: Table, moments: Table) -> Table:
    """Summarise the vital signs as known at each moment."""
    return signals.build_expression(events, moments, NAMES)


source = FileSource(
    name="vitals",
    path="data/features/vitals/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

view = FeatureView(
    name="vitals",
    entities=[subject],
    ttl=timedelta(0),  # a row is valid until the next one: the reader judges how old a value may be
    schema=signals.build_fields(*NAMES),
    source=source,
    owner="data-engineering",
    description="Latest value, own band and trend of the vital signs.",
)
