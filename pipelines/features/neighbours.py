"""The peers group: everybody's self features as of each moment, searched by ``models.peers``."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from pathlib import Path

import polars as pl
import pyarrow as pa
from polars import LazyFrame

from feature_repo.point_in_time import KEY
from feature_repo.services import groups
from models import peer_states, peers
from pipelines.features import ledger

SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64()),
        pa.field("event_timestamp", pa.timestamp("us", tz="UTC")),
        *(
            pa.field(name, {"peers_count": pa.int64(), "embedding": pa.list_(pa.float32())}.get(name, pa.float64()))
            for name in peers.COLUMNS
        ),
    ]
)


def rows(features: Path, moments: pa.Table, k: int) -> pa.Table:
    """Peer features at each of the moments (``KEY``), from the self features already written below ``features``."""
    if not moments.num_rows:
        return SCHEMA.empty_table()
    asked = pl.DataFrame(moments).sort("event_timestamp", "subject_id")
    return answers(_states(features, asked["event_timestamp"][0]), asked, k)


def answers(states: peer_states.States, asked: pl.DataFrame, k: int) -> pa.Table:
    """Peer features among ``states`` at each ``KEY`` of ``asked``, which is in order of moments."""
    at = asked["event_timestamp"].dt.epoch("s").to_numpy()
    found = peers.search(states, asked["subject_id"].to_list(), at, k)
    columns = [pa.array(found[name], SCHEMA.field(name).type) for name in peers.COLUMNS]
    return pa.Table.from_arrays([*(asked[name].to_arrow() for name in KEY), *columns], schema=SCHEMA)


def _states(features: Path, start: datetime) -> peer_states.States:
    """Every patient's states from the one that held at ``start`` on.

    Keys say which rows these are: on an ordinary night one a patient, of all that her history holds.
    """
    wanted = columns_by_group()
    keys = pl.scan_parquet(features / next(iter(wanted)) / "*.parquet").select(KEY).unique()
    held = pl.col("event_timestamp").filter(pl.col("event_timestamp") <= start).max().over("subject_id")
    asked = keys.filter((pl.col("event_timestamp") >= start) | (pl.col("event_timestamp") == held)).collect().lazy()
    parts = [ledger.current_rows(features / name, asked).select(*KEY, *columns) for name, columns in wanted.items()]
    return as_states(reduce(lambda left, right: left.join(right, on=KEY), parts))


def as_states(table: LazyFrame) -> peer_states.States:
    """The states of a table with ``KEY`` and ``models.peer_states.FEATURES``, in order of patient and moment."""
    states = _as_seconds(table).sort("subject_id", "event_timestamp").collect()
    columns = {name: states[name].to_list() for name in peer_states.FEATURES}
    return peer_states.states(states["subject_id"].to_list(), states["event_timestamp"].to_list(), columns)


def _as_seconds(table: LazyFrame) -> LazyFrame:
    """Times, alone and in lists, as seconds since 1970."""
    time = pl.Datetime("us", "UTC")
    lists = [name for name, dtype in table.collect_schema().items() if dtype == pl.List(time)]
    in_lists = [pl.col(name).list.eval(pl.element().dt.epoch("s")) for name in lists]
    return table.with_columns(pl.col(time).dt.epoch("s"), *in_lists)


def columns_by_group() -> dict[str, list[str]]:
    """Which features of ``models.peer_states.FEATURES`` each group holds."""
    wanted = {
        name: [field.name for field in module.view.features if field.name in peer_states.FEATURES]
        for name, module in groups().items()
    }
    return {name: columns for name, columns in wanted.items() if columns}
