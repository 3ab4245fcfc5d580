"""Read and write ``episodes.parquet``; equal episodes give equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.schema import TIMESTAMP, Episode, Segment
from pmlm.settings import Settings
from pmlm.storage import atomic_write

_STRINGS = pa.list_(pa.string())
SEGMENT = pa.struct(
    [
        pa.field("key", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("text", pa.string()),
        pa.field("pinned", pa.bool_()),
        pa.field("sources", _STRINGS),
        pa.field("tokens", pa.int32()),
        pa.field("recency_days", pa.float64()),
        pa.field("change", pa.float64()),
        pa.field("peer_lift", pa.float64()),
        pa.field("surprise", pa.float64()),
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("episode_id", pa.string()),
        pa.field("subject_id", pa.int64()),
        pa.field("as_of", TIMESTAMP),
        pa.field("question", pa.string()),
        pa.field("segments", pa.list_(SEGMENT)),
        pa.field("reply", _STRINGS),
        pa.field("specific", pa.list_(pa.bool_())),
        pa.field("rating", pa.float64()),
        pa.field("split", pa.string()),
        pa.field("topic", pa.string()),
        pa.field("facts", _STRINGS),
    ]
)


def episodes_path(settings: Settings) -> Path:
    return settings.episodes / "episodes.parquet"


def write_episodes(settings: Settings, episodes: Sequence[Episode]) -> None:
    """Write all episodes, ordered by time, then id."""
    ordered = sorted(episodes, key=lambda e: (e.as_of, e.episode_id))
    rows = [asdict(episode) | {"facts": sorted(episode.facts)} for episode in ordered]
    with atomic_write(episodes_path(settings)) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), temporary, compression="zstd")


def read_episodes(settings: Settings) -> list[Episode]:
    """Read the episodes; none where there is no file."""
    if not episodes_path(settings).exists():
        return []
    return [_parse_episode(row) for row in pq.read_table(episodes_path(settings), schema=SCHEMA).to_pylist()]


def _parse_episode(row: dict[str, Any]) -> Episode:
    segments = tuple(Segment(**s | {"sources": tuple(s["sources"])}) for s in row["segments"])
    texts = {"reply": tuple(row["reply"]), "specific": tuple(row["specific"]), "facts": frozenset(row["facts"])}
    return Episode(**row | texts | {"segments": segments})
