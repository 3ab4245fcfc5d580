"""Feature files and what each was made of: how a build knows what it has not seen yet.

A group's folder holds one Parquet file a night, never edited after that night. Each carries in its own metadata which
event files it took in, by which definition, and its number in the order of builds, so that file and bookkeeping
cannot disagree: a build that was killed has left no file, and starts again from the same point. A row that a later
build computes anew (because an event turned up that was known earlier) supersedes the older one by its greater
``created_timestamp``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.point_in_time import KEY
from pipelines.features.engines.earlier_definitions import read_definition
from pipelines.night_dates import end_of_night
from pmlm.errors import FeaturesError
from pmlm.storage import atomic_write

METADATA_KEY = b"pmlm"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a feature file was made of: its event files, its definition's hash, its number among the builds."""

    night: str
    events: tuple[str, ...]
    definition: str
    build: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a group has to do this night.

    ``fresh`` are the event files to take in, ``last`` is the latest night built before (None for the first build) and
    ``horizon`` the night up to whose end moments are built.
    """

    group: str
    origin: Origin
    last: str | None
    horizon: str

    @property
    def fresh(self) -> tuple[str, ...]:
        return self.origin.events

    @property
    def created(self) -> datetime:
        """When these rows count as made: later builds later, the same on every rerun."""
        return end_of_night(self.horizon) + timedelta(seconds=self.origin.build)


def origins(folder: Path) -> list[Origin]:
    """Read what the files of a group's folder were made of, in night order; earlier definitions by today's names.

    Whoever compares definitions reads them here.
    """
    found: list[Origin] = []
    files: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("*.parquet")):
        stated = json.loads(pq.read_schema(path).metadata[METADATA_KEY])
        found.append(Origin(**stated | {"events": tuple(stated["events"])}))
        files[found[-1].definition].append(path)
    names = {stated: read_definition(folder.name, stated, of) for stated, of in files.items()}
    return [replace(origin, definition=names[origin.definition]) for origin in found]


def plan(folder: Path, night: str, definition: str, events: list[str]) -> Plan | None:
    """What is left to build for a group, or None where its files already hold it.

    ``events`` are the names of the log's files. Files of another definition, or made of event files that the log no
    longer has (it was restored to an earlier night), are removed: the group is then built anew, once.
    """
    held = origins(folder)
    if any(o.definition != definition or not set(o.events) <= set(events) for o in held):
        for path in folder.glob("*.parquet"):
            path.unlink()
        held = []
    others = [o for o in held if o.night != night]
    taken = {name for o in others for name in o.events}
    fresh = tuple(name for name in sorted(events) if name not in taken)
    already = any(o.night == night and o.events == fresh for o in held)
    if already or not fresh:
        return None
    last = max((o.night for o in others), default=None)
    build = 1 + max((o.build for o in held), default=0)
    return Plan(folder.name, Origin(night, fresh, definition, build), last, max(night, last or night))


@contextmanager
def written(folder: Path, origin: Origin, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """One night's file of a group with its origin, to be written table by table; whole or not at all."""
    stated = {METADATA_KEY: json.dumps(asdict(origin), sort_keys=True).encode()}
    with (
        atomic_write(folder / f"{origin.night}.parquet") as temporary,
        pq.ParquetWriter(temporary, schema.with_metadata(stated), compression="zstd") as writer,
    ):
        yield writer


def write(folder: Path, origin: Origin, table: pa.Table) -> None:
    """Write one night's rows of a group with their origin, whole or not at all."""
    with written(folder, origin, table.schema) as writer:
        writer.write_table(table)


def current_rows(folder: Path, keys: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """A group's rows, of several for one moment only the one computed last; those of ``keys`` alone where given."""
    rows = pl.scan_parquet(folder / "*.parquet")
    asked = rows if keys is None else rows.join(keys, on=KEY, how="semi")
    return asked.sort("created_timestamp").unique(KEY, keep="last", maintain_order=True)


def refuse_mixed(rows: pl.LazyFrame) -> None:
    """``FeaturesError`` where trajectory rows are of more than one model: they must never meet in one answer."""
    versions = rows.select(pl.col("model_version").drop_nulls().unique().sort()).collect()["model_version"].to_list()
    if len(versions) > 1:
        raise FeaturesError(f"trajectory rows of several models ({', '.join(versions)}): run `pmlm features build`")
