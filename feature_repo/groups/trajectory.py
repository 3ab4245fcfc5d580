"""Trajectory: the forecast of the clinic's trajectory model, with the model's version.

It has no expression: ``pipelines.features.trajectory.inference`` calls the trained model, and
``models.patient.forecaster`` says what each output means. Every row is of one version: a new version computes all rows
again before any of them is served. Before the first model all values are unknown.
"""

from __future__ import annotations

from datetime import timedelta

from feast import FeatureView, Field, FileSource
from feast.types import Array, Float32, Float64, String, UnixTimestamp

from feature_repo.entities import subject

SHARE = {"low": "0", "high": "1"}

source = FileSource(
    name="trajectory",
    path="data/features/trajectory/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

view = FeatureView(
    name="trajectory",
    entities=[subject],
    ttl=timedelta(0),
    schema=[
        Field(name="trajectory_embedding", dtype=Array(Float32), description="the record as the model sees it"),
        Field(name="next_visit_events", dtype=Array(String), description="what is likely at the next visit"),
        Field(
            name="next_visit_chances", dtype=Array(Float64), tags=SHARE, description="calibrated probability of each"
        ),
        Field(name="next_visit_rates", dtype=Array(Float64), tags=SHARE, description="share of all visits with it"),
        Field(
            name="visit_surprise",
            dtype=Float64,
            tags={"unit": "nats", "low": "0"},
            description="how unexpected the last visit's records were, per record",
        ),
        Field(name="trajectory_sources", dtype=Array(String), description="source lines of the last day with records"),
        Field(name="trajectory_time", dtype=UnixTimestamp, description="when the last record was made that was read"),
        Field(name="model_version", dtype=String, description="the trajectory model that made this row"),
    ],
    source=source,
    owner="data-science",
    description="Embedding, likely next visit and surprise of the last, by one version of the trajectory model.",
)
