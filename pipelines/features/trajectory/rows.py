"""Compute the trajectory group: the model's forecast (``inference``), nulls without a model.

Without a model its libraries are not imported: that takes seconds.
"""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa
from ibis.expr.types import Table

from feature_repo.point_in_time import KEY
from pipelines.features.engines.engine import Engine, Rows
from pipelines.features.engines.query import MOMENTS, make_input_tables
from pipelines.features.trajectory import model_store
from pmlm.settings import Settings

#: Raised when a change here or in ``models.patient`` changes any row of the same model: all are then computed again.
TRAJECTORY_REVISION = "1"
SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64()),
        pa.field("event_timestamp", pa.timestamp("us", tz="UTC")),
        pa.field("trajectory_embedding", pa.list_(pa.float32())),
        pa.field("next_visit_events", pa.list_(pa.string())),
        pa.field("next_visit_chances", pa.list_(pa.float64())),
        pa.field("next_visit_rates", pa.list_(pa.float64())),
        pa.field("visit_surprise", pa.float64()),
        pa.field("trajectory_sources", pa.list_(pa.string())),
        pa.field("trajectory_time", pa.timestamp("us", tz="UTC")),
        pa.field("model_version", pa.string()),
    ]
)


def list_inputs(settings: Settings) -> list[Table]:
    """List what the model in use reads of the record versions."""
    if model_store.read_version(settings) is None:
        return []
    from pipelines.features.trajectory import inference

    return [inference.select_versions(*make_input_tables())]


def compute_rows(settings: Settings, engine: Engine, connection: Any) -> Rows:
    """Compute trajectory rows at the connection's as-of times."""
    if model_store.read_version(settings) is None:
        return engine.map_patients(connection, [connection.table(MOMENTS)], _leave_unknown, SCHEMA)
    from pipelines.features.trajectory import inference

    return inference.compute_rows(settings, engine, connection)


def _leave_unknown(moments: pa.Table) -> pa.Table:
    asked = pl.DataFrame(moments).select(*KEY)
    blank = {name: [None] * len(asked) for name in SCHEMA.names[len(KEY) :]}
    return pa.table(asked.to_dict(as_series=False) | blank, schema=SCHEMA)
