"""Open medicines and all allergies, newest first, at most 40 each, one per code.

A medicine is taken from its order until an end of it is known and has come. Allergies of every kind are listed with
their kind (``medication``, ``food``, ``environment``, ``other``).
"""

from __future__ import annotations

from datetime import timedelta

import ibis
from feast import FeatureView, Field, FileSource
from feast.types import Array, String, UnixTimestamp
from ibis.expr.types import Table

from feature_repo.entities import subject
from feature_repo.point_in_time import (
    collect_newest,
    join_to_moments,
    select_active,
    select_known,
    select_newest_per_value,
)

LIMIT = 40
ALLERGY_KINDS = ("allergy.medication", "allergy.food", "allergy.environment", "allergy.other")


def expression(events: Table, moments: Table) -> Table:
    """Collect the open medicines and all allergies as known at each moment."""
    taken = select_newest_per_value(select_active(events, moments, "medicine", "medicine.end"), "code")
    medicines = collect_newest(
        taken,
        LIMIT,
        medicine_codes=taken.code,
        medicine_texts=ibis.coalesce(taken.text_value, taken.code),
        medicine_times=taken.time,
        medicine_sources=taken.source,
    )
    allergic = select_newest_per_value(select_known(events, moments, *ALLERGY_KINDS), "code")
    allergies = collect_newest(
        allergic,
        LIMIT,
        allergy_codes=allergic.code,
        allergy_texts=ibis.coalesce(allergic.text_value, allergic.code),
        allergy_kinds=allergic.kind.replace("allergy.", ""),
        allergy_sources=allergic.source,
    )
    return join_to_moments(moments, medicines, allergies)


source = FileSource(
    name="medicines",
    path="data/features/medicines/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

view = FeatureView(
    name="medicines",
    entities=[subject],
    ttl=timedelta(0),
    schema=[
        Field(name="medicine_codes", dtype=Array(String), description="codes of the open medicines"),
        Field(name="medicine_texts", dtype=Array(String), description="what the record calls them"),
        Field(name="medicine_times", dtype=Array(UnixTimestamp), description="when each was ordered"),
        Field(name="medicine_sources", dtype=Array(String), description="source line of each"),
        Field(name="allergy_codes", dtype=Array(String), description="codes of the allergies"),
        Field(name="allergy_texts", dtype=Array(String), description="what the record calls them"),
        Field(name="allergy_kinds", dtype=Array(String), description="medication, food, environment or other"),
        Field(name="allergy_sources", dtype=Array(String), description="source line of each"),
    ],
    source=source,
    owner="data-engineering",
    description="Open medicines and all allergies, newest first.",
)
