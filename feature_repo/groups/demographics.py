"""Demographics: birth, language, death, and the row's own as-of time.

The online store carries ``as_of`` so that a reader can say how fresh an answer is. Age is computed from ``birth`` at
request time.
"""

from __future__ import annotations

from datetime import timedelta

from feast import FeatureView, Field, FileSource
from feast.types import String, UnixTimestamp
from ibis.expr.types import Table

from feature_repo.entities import subject
from feature_repo.point_in_time import join_to_moments, select_known, select_latest
from models.vocabulary import BIRTH_CODE, DEATH_CODE, LANGUAGE_CODE


def expression(events: Table, moments: Table) -> Table:
    """Compute birth, language and death as known at each moment."""
    born = select_known(events.filter(events.code == BIRTH_CODE), moments, "patient")
    speaks = select_known(events.filter(events.code == LANGUAGE_CODE), moments, "patient")
    died = select_known(events.filter(events.code == DEATH_CODE), moments, "patient")
    table = join_to_moments(
        moments,
        select_latest(born, birth=born.time),
        select_latest(speaks, language=speaks.text_value),
        select_latest(died, died=died.time),
    )
    return table.mutate(as_of=table.event_timestamp)


source = FileSource(
    name="demographics",
    path="data/features/demographics/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

view = FeatureView(
    name="demographics",
    entities=[subject],
    ttl=timedelta(0),
    schema=[
        Field(name="birth", dtype=UnixTimestamp, description="day of birth"),
        Field(name="language", dtype=String, description="language of correspondence: en or zh"),
        Field(name="died", dtype=UnixTimestamp, description="day of death"),
        Field(
            name="as_of",
            dtype=UnixTimestamp,
            tags={"null": "never"},
            description="the time as of which the row is true",
        ),
    ],
    source=source,
    owner="data-engineering",
    description="Birth, language, death, and the row's own moment.",
)
