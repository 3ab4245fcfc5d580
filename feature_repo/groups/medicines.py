"""Open medicines and all allergies, newest first, at most 40 each, one per code.

Those without a date are last. A medicine is open from its order until an end of it is known and has come; a supply
handed out on an order is open as long as the order. ``medicine_ends`` is when the supplies stated for a code end, the
latest of them, and the time of the order where none is stated; whether it is current by then is decided at request time
(``models.patient.currency``).
Allergies of every kind are listed with their kind (``medication``, ``food``, ``environment``, ``other``;
``unconfirmed.`` before it where the record says so, ``unread`` for an entry of the allergy list that could not be
read).
"""

from __future__ import annotations

from datetime import timedelta

import ibis
from feast import FeatureView, Field, FileSource
from feast.types import Array, String, UnixTimestamp
from ibis.expr.types import Table

from feature_repo.entities import subject
from feature_repo.point_in_time import (
    DAY,
    KEY,
    collect_newest,
    hide_unknown_times,
    join_to_moments,
    select_active,
    select_known,
    select_newest_per_value,
    to_moment,
    to_seconds,
)
from models.schema import KINDS

LIMIT = 40
READS_UNDATED = True  # the column ``undated`` of record versions
ALLERGY_KINDS = tuple(kind for kind in KINDS if kind.startswith("allergy."))


def expression(events: Table, moments: Table) -> Table:
    """Collect the open medicines and all allergies as known at each moment."""
    active = hide_unknown_times(select_active(events, moments, "medicine", "medicine.end"))
    ended = select_known(events, moments, "medicine.end")
    active = active.anti_join(ended.select(*KEY, parent=ended.parent), [*KEY, "parent"])
    days = ibis.coalesce(active.numeric_value.cast("float64"), 0.0)
    active = active.mutate(until=to_moment(to_seconds(active.time) + (days * DAY).cast("int64")))
    ends = active.group_by(*KEY, "code").aggregate(latest=active.until.max())
    newest = select_newest_per_value(active, "code")
    taken = newest.inner_join(ends, [*KEY, "code"]).select(*newest.columns, "latest")
    medicines = collect_newest(
        taken,
        LIMIT,
        medicine_codes=taken.code,
        medicine_texts=ibis.coalesce(taken.text_value, taken.code),
        medicine_times=taken.time,
        medicine_ends=taken.latest,
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
        Field(
            name="medicine_times",
            dtype=Array(UnixTimestamp),
            description="when each was ordered; null if undated",
        ),
        Field(
            name="medicine_ends",
            dtype=Array(UnixTimestamp),
            description="when each one's supply ends; when it was ordered where no supply is stated",
        ),
        Field(name="medicine_sources", dtype=Array(String), description="source line of each"),
        Field(name="allergy_codes", dtype=Array(String), description="codes of the allergies"),
        Field(name="allergy_texts", dtype=Array(String), description="what the record calls them"),
        Field(name="allergy_kinds", dtype=Array(String), description="medication, food, …, unconfirmed.… or unread"),
        Field(name="allergy_sources", dtype=Array(String), description="source line of each"),
    ],
    source=source,
    owner="data-engineering",
    description="Open medicines and all allergies, newest first.",
)
