"""Behaviour: visits, missed visits, emergencies, questions, and smoking status.

Times only, newest first: visits of the last 90 days are counted from these at request time.
"""

from __future__ import annotations

from datetime import timedelta

from feast import FeatureView, Field, FileSource
from feast.types import Array, String, UnixTimestamp
from ibis.expr.types import Table

from feature_repo.entities import subject
from feature_repo.point_in_time import collect_newest, join_to_moments, select_known, select_latest
from models.vocabulary import SMOKING_CODE

VISITS = 20
FEW = 10


def expression(events: Table, moments: Table) -> Table:
    """Compute times of visits and questions, and smoking, as known at each moment."""
    smoking = select_known(
        events.filter(events.code == SMOKING_CODE, events.text_value.notnull()), moments, "observation"
    )
    return join_to_moments(
        moments,
        _collect_times(events, moments, "visit_times", VISITS, "encounter", "encounter.emergency"),
        _collect_times(events, moments, "missed_visit_times", FEW, "encounter.missed"),
        _collect_times(events, moments, "emergency_visit_times", FEW, "encounter.emergency"),
        _collect_times(events, moments, "question_times", FEW, "question"),
        select_latest(smoking, smoking=smoking.text_value, smoking_time=smoking.time, smoking_source=smoking.source),
    )


def _collect_times(events: Table, moments: Table, name: str, limit: int, *kinds: str) -> Table:
    facts = select_known(events, moments, *kinds)
    return collect_newest(facts, limit, **{name: facts.time})


source = FileSource(
    name="behaviour",
    path="data/features/behaviour/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

view = FeatureView(
    name="behaviour",
    entities=[subject],
    ttl=timedelta(0),
    schema=[
        Field(name="visit_times", dtype=Array(UnixTimestamp), description="last 20 visits, emergencies included"),
        Field(name="missed_visit_times", dtype=Array(UnixTimestamp), description="last 10 cancelled or missed visits"),
        Field(name="emergency_visit_times", dtype=Array(UnixTimestamp), description="last 10 emergency visits"),
        Field(name="question_times", dtype=Array(UnixTimestamp), description="last 10 questions asked"),
        Field(name="smoking", dtype=String, description="latest smoking status, in the record's words"),
        Field(name="smoking_time", dtype=UnixTimestamp, description="when it was recorded"),
        Field(name="smoking_source", dtype=String, description="source line of the smoking status"),
    ],
    source=source,
    owner="data-engineering",
    description="Visits, missed visits, emergencies, questions, smoking.",
)
