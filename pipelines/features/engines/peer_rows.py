"""The peers group: everybody's self features as of each moment, searched by ``models.peers.search``."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from polars import LazyFrame

from feature_repo.point_in_time import KEY
from feature_repo.store.services import groups
from models.peers import patient_embedding, search
from pipelines.features.engines import feature_files

#: Raised when a change here or in ``models.peers`` changes any row: peers are then computed again.
PEERS_REVISION = "1"
#: Rows of a history that are made into states at a time: lists of them are Python's.
TOGETHER = 1 << 16
SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64()),
        pa.field("event_timestamp", pa.timestamp("us", tz="UTC")),
        *(
            pa.field(name, {"peers_count": pa.int64(), "embedding": pa.list_(pa.float32())}.get(name, pa.float64()))
            for name in search.COLUMNS
        ),
    ]
)


def rows(features: Path, moments: pa.Table, k: int) -> pa.Table:
    """Peer features at each of the moments (``KEY``), from the self features already written below ``features``."""
    if not moments.num_rows:
        return SCHEMA.empty_table()
    asked = pl.DataFrame(moments).sort("event_timestamp", "subject_id")
    return answers(_states(features, asked["event_timestamp"][0]), asked, k)


def answers(states: patient_embedding.States, asked: pl.DataFrame, k: int) -> pa.Table:
    """Peer features among ``states`` at each ``KEY`` of ``asked``, which is in order of moments."""
    at = asked["event_timestamp"].dt.epoch("s").to_numpy()
    found = search.search(states, asked["subject_id"].to_list(), at, k)
    columns = [_column(found[name]) for name in search.COLUMNS]
    return pa.Table.from_arrays([*(asked[name].to_arrow() for name in KEY), *columns], schema=SCHEMA)


def _column(values: NDArray[Any]) -> pa.Array:
    """Numbers, or rows of numbers as lists; NaN is unknown."""
    if values.ndim == 1:
        return pa.array(values, from_pandas=True)
    unknown = np.isnan(values).any(axis=1)
    ends = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(ends, pa.array(values.ravel()), mask=pa.array(unknown))


def _states(features: Path, start: datetime) -> patient_embedding.States:
    """Every patient's states from the one that held at ``start`` on.

    Keys say which rows these are: on an ordinary night one a patient, of all that her history holds.
    """
    wanted = columns_by_group()
    keys = pl.scan_parquet(features / next(iter(wanted)) / "*.parquet").select(KEY).unique()
    held = pl.col("event_timestamp").filter(pl.col("event_timestamp") <= start).max().over("subject_id")
    asked = keys.filter((pl.col("event_timestamp") >= start) | (pl.col("event_timestamp") == held)).collect().lazy()
    parts = [
        feature_files.current_rows(features / name, asked).select(*KEY, *columns) for name, columns in wanted.items()
    ]
    return as_states(reduce(lambda left, right: left.join(right, on=KEY), parts))


def as_states(table: LazyFrame) -> patient_embedding.States:
    """The states of a table with ``KEY`` and the embedding's features, by patient and moment."""
    rows = _as_seconds(table).sort("subject_id", "event_timestamp").collect()
    parts = [_made(rows[start : start + TOGETHER]) for start in range(0, max(1, rows.height), TOGETHER)]
    outcomes = {name: np.concatenate([p.outcomes[name] for p in parts]) for name in parts[0].outcomes}
    arrays = [f.name for f in fields(patient_embedding.States) if f.name != "outcomes"]
    return patient_embedding.States(
        **{name: np.concatenate([getattr(p, name) for p in parts]) for name in arrays}, outcomes=outcomes
    )


def _made(rows: pl.DataFrame) -> patient_embedding.States:
    """Their states; what is no list or text goes over as an array."""
    columns = {
        name: rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy() if dtype.is_numeric() else rows[name].to_list()
        for name, dtype in rows.schema.items()
        if name in patient_embedding.FEATURES
    }
    return patient_embedding.states(rows["subject_id"].to_numpy(), rows["event_timestamp"].to_numpy(), columns)


def _as_seconds(table: LazyFrame) -> LazyFrame:
    """Times, alone and in lists, as seconds since 1970."""
    time = pl.Datetime("us", "UTC")
    lists = [name for name, dtype in table.collect_schema().items() if dtype == pl.List(time)]
    in_lists = [pl.col(name).list.eval(pl.element().dt.epoch("s")) for name in lists]
    return table.with_columns(pl.col(time).dt.epoch("s"), *in_lists)


def columns_by_group() -> dict[str, list[str]]:
    """Which features of ``models.peers.patient_embedding.FEATURES`` each group holds."""
    wanted = {
        name: [field.name for field in module.view.features if field.name in patient_embedding.FEATURES]
        for name, module in groups().items()
    }
    return {name: columns for name, columns in wanted.items() if columns}
