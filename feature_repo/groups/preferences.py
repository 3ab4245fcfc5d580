"""Preferences: the patient's ratings of brief replies (under 45 words) and of detailed ones.

A rating (1–5) belongs to a reply through ``parent``: a clinician's, whose words are runs of characters between spaces,
or a language model's answer, of which the log has the number of words but no text. ``models.patient.preferences``
computes the posterior from these at request time.
"""

from __future__ import annotations

from datetime import timedelta

import ibis
from feast import FeatureView, Field, FileSource
from feast.types import Float64, Int64
from ibis.expr.types import Table

from feature_repo.entities import subject
from feature_repo.point_in_time import KEY, join_to_moments, select_known
from feature_repo.signals import SCALE

BRIEF_WORDS = 45
#: Matches a text of at least so many words, and reads no further.
DETAILED_TEXT = rf"^\s*(\S+\s+){{{BRIEF_WORDS - 1}}}\S"


def expression(events: Table, moments: Table) -> Table:
    """Count and average the ratings as known at each moment."""
    ratings = select_known(events.filter(events.numeric_value.notnull()), moments, "rating")
    replies = select_known(
        events.filter(events.text_value.notnull() | events.numeric_value.notnull()), moments, "reply"
    )
    texts = replies.select(*KEY, parent=replies.record, text=replies.text_value, words=replies.numeric_value)
    rated = ratings.left_join(texts, [*KEY, "parent"])
    rated = rated.mutate(
        points=(rated.numeric_value.cast("float64") * SCALE).round().cast("int64"),
        long=ibis.coalesce(rated.text.re_search(DETAILED_TEXT), rated.words.cast("int64") >= BRIEF_WORDS),
    )
    brief, detailed = ~rated.long, rated.long
    counts = rated.group_by(*KEY).aggregate(
        ratings=rated.points.count(),
        total=rated.points.sum(),
        rating_brief_count=rated.points.count(where=brief),
        brief=rated.points.sum(where=brief),
        rating_detailed_count=rated.points.count(where=detailed),
        detailed=rated.points.sum(where=detailed),
    )
    means = counts.select(
        *KEY,
        "ratings",
        "rating_brief_count",
        "rating_detailed_count",
        rating_mean=counts.total / counts.ratings / SCALE,
        rating_brief_mean=counts.brief / counts.rating_brief_count.nullif(0) / SCALE,
        rating_detailed_mean=counts.detailed / counts.rating_detailed_count.nullif(0) / SCALE,
    )
    table = join_to_moments(moments, means)
    none_yet = {name: table[name].fill_null(0) for name in ("ratings", "rating_brief_count", "rating_detailed_count")}
    return table.mutate(**none_yet)


source = FileSource(
    name="preferences",
    path="data/features/preferences/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

view = FeatureView(
    name="preferences",
    entities=[subject],
    ttl=timedelta(0),
    schema=[
        Field(name="ratings", dtype=Int64, description="rated replies"),
        Field(name="rating_mean", dtype=Float64, tags={"unit": "points"}, description="mean of the ratings, 1 to 5"),
        Field(name="rating_brief_count", dtype=Int64, description="rated replies under 45 words"),
        Field(name="rating_brief_mean", dtype=Float64, tags={"unit": "points"}, description="their mean"),
        Field(name="rating_detailed_count", dtype=Int64, description="rated replies of 45 words or more"),
        Field(name="rating_detailed_mean", dtype=Float64, tags={"unit": "points"}, description="their mean"),
    ],
    source=source,
    owner="data-engineering",
    description="The patient's ratings of brief and of detailed replies.",
)
