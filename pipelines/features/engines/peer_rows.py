"""Compute the peers group: search everybody's self features as of each moment (``models.peers.search``)."""

from __future__ import annotations

from collections.abc import Sequence
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
from feature_repo.store.services import find_groups
from models.patient.currency import DEFAULT_RULE, CurrencyRule
from models.peers import patient_embedding, search
from models.peers.patient_embedding import States
from pipelines.features.engines import feature_files
from pmlm.errors import FeaturesError

#: Raised when a change here or in ``models.peers`` changes any row: peers are then computed again.
PEERS_REVISION = "3"
#: Rows made into states at a time: their list columns become Python objects.
CHUNK_ROWS = 1 << 16
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


def compute_rows(features: Path, moments: pa.Table, k: int, rule: CurrencyRule) -> pa.Table:
    """Compute peer rows at each of the moments (``KEY``) from the feature files below ``features``.

    Every aggregate is of at least ``k`` patients; ``rule`` says what is current.
    """
    if not moments.num_rows:
        return SCHEMA.empty_table()
    asked = pl.DataFrame(moments).sort("event_timestamp", "subject_id")
    return search_states(_read_states(features, asked["event_timestamp"][0], rule), asked, k)


def search_states(states: States, asked: pl.DataFrame, k: int) -> pa.Table:
    """Compute peer rows among ``states`` at each ``KEY`` of ``asked``, which is sorted by moment."""
    at = asked["event_timestamp"].dt.epoch("s").to_numpy()
    found = search.search_peers(states, asked["subject_id"].to_list(), at, k)
    columns = [to_arrow(found[name]) for name in search.COLUMNS]
    return pa.Table.from_arrays([*(asked[name].to_arrow() for name in KEY), *columns], schema=SCHEMA)


def to_arrow(values: NDArray[Any]) -> pa.Array:
    """Convert numbers [n], or rows of numbers [n, d] to lists; NaN becomes null."""
    if values.ndim == 1:
        return pa.array(values, from_pandas=True)
    unknown = np.isnan(values).any(axis=1)
    ends = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(ends, pa.array(values.ravel()), mask=pa.array(unknown))


def _read_states(features: Path, start: datetime, rule: CurrencyRule = DEFAULT_RULE) -> States:
    """Read every patient's states from the one valid at ``start`` on.

    Keys are read first, to choose the rows: on an ordinary night that is one of a patient's whole history.
    """
    valid = pl.col("event_timestamp").filter(pl.col("event_timestamp") <= start).max().over("subject_id")
    asked = _scan_keys(features).filter((pl.col("event_timestamp") >= start) | (pl.col("event_timestamp") == valid))
    return build_states(_scan_rows(features, asked.collect().lazy()), rule)


def read_states_at(features: Path, moments: Sequence[datetime], rule: CurrencyRule = DEFAULT_RULE) -> States:
    """Read every patient's state at each of the moments: what was known by then, current as of then.

    ``FeaturesError`` before the first build.
    """
    if not any(features.glob("*/*.parquet")):
        raise FeaturesError("no features yet: run `pmlm features build`")
    keys = _scan_keys(features).collect()
    newest = [
        keys.filter(pl.col("event_timestamp") <= at)
        .group_by("subject_id")
        .agg(pl.col("event_timestamp").max())
        .with_columns(pl.lit(at).cast(pl.Datetime("us", "UTC")).alias("moment"))
        for at in moments
    ]
    asked = pl.concat(newest).lazy()
    rows = asked.join(_scan_rows(features, asked.select(KEY).unique()), on=KEY)
    return build_states(rows.drop("event_timestamp").rename({"moment": "event_timestamp"}), rule)


def _scan_keys(features: Path) -> LazyFrame:
    return pl.scan_parquet(features / next(iter(list_state_columns())) / "*.parquet").select(KEY).unique()


def _scan_rows(features: Path, asked: LazyFrame) -> LazyFrame:
    """Scan what states are built from, at the keys ``asked``."""
    groups = list_state_columns().items()
    by_group = [feature_files.scan_rows(features / name, asked).select(*KEY, *columns) for name, columns in groups]
    return reduce(lambda left, right: left.join(right, on=KEY), by_group)


def build_states(table: LazyFrame, rule: CurrencyRule = DEFAULT_RULE) -> States:
    """Build states from a table of ``KEY`` and features, sorted by patient and moment."""
    rows = _times_to_seconds(table).sort("subject_id", "event_timestamp").collect()
    starts = range(0, max(1, rows.height), CHUNK_ROWS)
    chunks = [_build_chunk(rows[start : start + CHUNK_ROWS], rule) for start in starts]
    outcomes = {name: np.concatenate([c.outcomes[name] for c in chunks]) for name in chunks[0].outcomes}
    arrays = [f.name for f in fields(States) if f.name != "outcomes"]
    return States(**{name: np.concatenate([getattr(c, name) for c in chunks]) for name in arrays}, outcomes=outcomes)


def _build_chunk(rows: pl.DataFrame, rule: CurrencyRule) -> States:
    """Build states, with numbers as arrays, and lists and texts as Python objects."""
    columns = {
        name: rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy() if dtype.is_numeric() else rows[name].to_list()
        for name, dtype in rows.schema.items()
        if name in patient_embedding.FEATURES
    }
    subjects, moments = rows["subject_id"].to_numpy(), rows["event_timestamp"].to_numpy()
    return patient_embedding.build_states(subjects, moments, columns, rule)


def _times_to_seconds(table: LazyFrame) -> LazyFrame:
    """Convert times, alone and in lists, to seconds since 1970."""
    time = pl.Datetime("us", "UTC")
    lists = [name for name, dtype in table.collect_schema().items() if dtype == pl.List(time)]
    in_lists = [pl.col(name).list.eval(pl.element().dt.epoch("s")) for name in lists]
    return table.with_columns(pl.col(time).dt.epoch("s"), *in_lists)


def list_state_columns() -> dict[str, list[str]]:
    """List by group the features that a state is built from (``patient_embedding.FEATURES``)."""
    wanted = {
        name: [field.name for field in module.view.features if field.name in patient_embedding.FEATURES]
        for name, module in find_groups().items()
    }
    return {name: columns for name, columns in wanted.items() if columns}
