"""Peers: aggregates of at least k patients similar to the patient.

It has no expression, since a search over all patients' states is no transformation of one patient's events:
``models.peers.search`` computes it, and its table ``OUTCOMES`` says what each aggregate means. ``peers_count`` is 0 and
every aggregate null where fewer than k patients are similar. ``cohort_*`` are the means over all other patients of the
cohort, toward which ``models.peers.outcome_estimates`` shrinks those of the peers. Values are rounded (5 %, 0.1 kg per
week, a quarter of a point). ``embedding`` is the patient's own state as numbers, see
``models.peers.patient_embedding``.
"""

from __future__ import annotations

from datetime import timedelta

from feast import FeatureView, Field, FileSource
from feast.types import Array, Float32, Float64, Int64

from feature_repo.entities import subject

PERCENT = {"unit": "%", "low": "0", "high": "100"}
POINTS = {"unit": "points", "low": "1", "high": "5"}
COUNT = {"low": "0", "null": "never"}

source = FileSource(
    name="peers",
    path="data/features/peers/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

view = FeatureView(
    name="peers",
    entities=[subject],
    ttl=timedelta(0),
    schema=[
        Field(
            name="peers_count",
            dtype=Int64,
            tags=COUNT,
            description="similar patients behind the aggregates; 0 or at least k",
        ),
        Field(name="peer_anaemia", dtype=Float64, tags=PERCENT, description="peers with anaemia"),
        Field(name="peer_gestational_diabetes", dtype=Float64, tags=PERCENT, description="peers with it"),
        Field(name="peer_hypertension", dtype=Float64, tags=PERCENT, description="peers with it or pre-eclampsia"),
        Field(name="peer_depression", dtype=Float64, tags=PERCENT, description="peers with depression"),
        Field(name="peer_iron", dtype=Float64, tags=PERCENT, description="peers who take iron"),
        Field(name="peer_emergency", dtype=Float64, tags=PERCENT, description="peers with an emergency in a year"),
        Field(name="peer_missed", dtype=Float64, tags=PERCENT, description="peers who missed a visit in a year"),
        Field(name="peer_weight_gain", dtype=Float64, tags={"unit": "kg/wk"}, description="peers' mean trend"),
        Field(name="peer_rating_brief", dtype=Float64, tags=POINTS, description="peers' mean for brief replies"),
        Field(name="peer_rating_detailed", dtype=Float64, tags=POINTS, description="peers' mean for detailed ones"),
        Field(name="cohort_anaemia", dtype=Float64, tags=PERCENT, description="others of the cohort with anaemia"),
        Field(name="cohort_gestational_diabetes", dtype=Float64, tags=PERCENT, description="others with it"),
        Field(name="cohort_hypertension", dtype=Float64, tags=PERCENT, description="others with it or pre-eclampsia"),
        Field(name="cohort_depression", dtype=Float64, tags=PERCENT, description="others with depression"),
        Field(name="cohort_iron", dtype=Float64, tags=PERCENT, description="others who take iron"),
        Field(name="cohort_emergency", dtype=Float64, tags=PERCENT, description="others with an emergency in a year"),
        Field(name="cohort_missed", dtype=Float64, tags=PERCENT, description="others who missed a visit in a year"),
        Field(name="cohort_weight_gain", dtype=Float64, tags={"unit": "kg/wk"}, description="others' mean trend"),
        Field(name="embedding", dtype=Array(Float32), description="the patient's state as numbers"),
    ],
    source=source,
    owner="data-science",
    description="Aggregates of at least k patients similar to the patient.",
)
