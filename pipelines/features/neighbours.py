"""The peers group: everybody's self features as of each moment, searched by ``models.peers``."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from feature_repo.point_in_time import KEY, seconds
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


def rows(connection: Backend, features: Path, moments: Table, k: int) -> pa.Table:
    """Peer features at each of the moments (``KEY``), from the self features already written below ``features``."""
    asked = moments.order_by("event_timestamp", "subject_id").to_pyarrow()
    at = asked["event_timestamp"].cast(pa.int64()).to_numpy() // 1_000_000
    states = _states(connection, features, moments)
    found = peers.search(states, asked["subject_id"].to_pylist(), at, k)
    found_columns = [pa.array(found[name], SCHEMA.field(name).type) for name in peers.COLUMNS]
    return pa.Table.from_arrays([*(asked[name] for name in KEY), *found_columns], schema=SCHEMA)


def _states(connection: Backend, features: Path, moments: Table) -> peer_states.States:
    """Every patient's states from the one that held at the first moment on."""
    start = moments.event_timestamp.min().as_scalar()
    parts = [
        ledger.current_rows(connection, features / name).select(*KEY, *wanted)
        for name, wanted in _columns_by_group().items()
    ]
    table = reduce(lambda left, right: left.inner_join(right, KEY), parts)
    before = table.event_timestamp.max(where=table.event_timestamp <= start).over(ibis.window(group_by="subject_id"))
    table = table.filter((table.event_timestamp >= start) | (table.event_timestamp == before))
    for name in peer_states.FEATURES:
        if table[name].type().is_timestamp():
            table = table.mutate(**{name: seconds(table[name])})
        elif table[name].type().is_array() and table[name].type().value_type.is_timestamp():
            table = table.mutate(**{name: table[name].map(seconds)})
    states = table.mutate(at=seconds(table.event_timestamp)).order_by("subject_id", "at").to_pyarrow()
    columns: dict[str, Any] = {name: states[name].to_pylist() for name in peer_states.FEATURES}
    return peer_states.states(states["subject_id"].to_numpy(), states["at"].to_numpy().astype(np.int64), columns)


def _columns_by_group() -> dict[str, list[str]]:
    wanted = {}
    for name, module in groups().items():
        held = [field.name for field in module.view.features if field.name in peer_states.FEATURES]
        if held:
            wanted[name] = held
    return wanted
