"""Problems: the open conditions and the suspected ones, newest first, at most 40 each.

Four parallel arrays each, one entry per code, those without a date last. A condition is open from its onset until an
end of it (abatement) is known and has come. Of several open records of one code the newest counts, and one with a date
before one without. A condition is suspected while its record calls it unconfirmed, provisional or a differential
diagnosis.
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
    hide_unknown_times,
    join_to_moments,
    select_active,
    select_known,
    select_newest_per_value,
)

LIMIT = 40
READS_UNDATED = True  # the column ``undated`` of record versions


def expression(events: Table, moments: Table) -> Table:
    """Collect the open conditions as known at each moment."""
    active = hide_unknown_times(select_active(events, moments, "condition", "condition.end"))
    open_ = select_newest_per_value(active, "code")
    arrays = collect_newest(
        open_,
        LIMIT,
        condition_codes=open_.code,
        condition_texts=ibis.coalesce(open_.text_value, open_.code),
        condition_times=open_.time,
        condition_sources=open_.source,
    )
    supposed = hide_unknown_times(select_known(events, moments, "condition.suspected"))
    suspected = select_newest_per_value(supposed, "code")
    unproven = collect_newest(
        suspected,
        LIMIT,
        suspected_codes=suspected.code,
        suspected_texts=ibis.coalesce(suspected.text_value, suspected.code),
        suspected_times=suspected.time,
        suspected_sources=suspected.source,
    )
    return join_to_moments(moments, arrays, unproven)


source = FileSource(
    name="problems",
    path="data/features/problems/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

view = FeatureView(
    name="problems",
    entities=[subject],
    ttl=timedelta(0),
    schema=[
        Field(name="condition_codes", dtype=Array(String), description="codes of the open conditions"),
        Field(name="condition_texts", dtype=Array(String), description="what the record calls them"),
        Field(name="condition_times", dtype=Array(UnixTimestamp), description="when each began; null if undated"),
        Field(name="condition_sources", dtype=Array(String), description="source line of each"),
        Field(name="suspected_codes", dtype=Array(String), description="codes of the suspected conditions"),
        Field(name="suspected_texts", dtype=Array(String), description="what the record calls them"),
        Field(name="suspected_times", dtype=Array(UnixTimestamp), description="when each may have begun"),
        Field(name="suspected_sources", dtype=Array(String), description="source line of each"),
    ],
    source=source,
    owner="data-engineering",
    description="Open and suspected conditions, newest first.",
)
