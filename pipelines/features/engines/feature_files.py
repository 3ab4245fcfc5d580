"""Read, plan and write feature files, each of which states what it was made of.

A group's folder has one Parquet file per night, made of the event files known by that night's end and not taken in by
an earlier night's. Its metadata says which event files it took in, by which definition, as which build: a killed build
has left no file, and starts again from the same point. A row that a later night computes again (an event turned up that
was known earlier) supersedes the older one by its greater ``created_timestamp``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
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
class FileOrigin:
    """What a feature file was made of, as its metadata (JSON) says."""

    night: str
    events: tuple[str, ...]
    definition: str
    build: int


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """What a group has to build this night.

    ``fresh`` are the event files to take in, ``last`` is the latest earlier night built (None for the first build).
    Rows are built up to the end of the night itself.
    """

    group: str
    origin: FileOrigin
    last: str | None

    @property
    def fresh(self) -> tuple[str, ...]:
        return self.origin.events

    @property
    def created(self) -> datetime:
        """The ``created_timestamp`` of the rows: greater for later nights, equal on every rerun."""
        return end_of_night(self.origin.night) + timedelta(seconds=self.origin.build)


def read_origins(folder: Path) -> list[FileOrigin]:
    """Read the origins of a group's files, in night order, with definitions named as today."""
    found: list[FileOrigin] = []
    files: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("*.parquet")):
        stated = json.loads(pq.read_schema(path).metadata[METADATA_KEY])
        found.append(FileOrigin(**stated | {"events": tuple(stated["events"])}))
        files[found[-1].definition].append(path)
    names = {stated: read_definition(folder.name, stated, of) for stated, of in files.items()}
    return [replace(origin, definition=names[origin.definition]) for origin in found]


def plan_group(folder: Path, night: str, definition: str, known: Mapping[str, str]) -> GroupPlan | None:
    """Plan what is left to build for a group by a night; None where its file of that night is complete.

    ``known`` has the log's files by name, each with the night by whose end all of it is known: later ones wait for
    their night. Files of another definition, or made of event files that the log no longer has (it was restored to an
    earlier night), are removed: the group is then built from the beginning. A night that is built anew removes the
    files of later nights, which were computed without it: the stage builds them again.
    """
    built = read_origins(folder)
    if any(o.definition != definition or not set(o.events) <= set(known) for o in built):
        _remove_files(folder, "")
        built = []
    earlier = [o for o in built if o.night < night]
    taken = find_taken_in(earlier, known)
    fresh = tuple(name for name in sorted(known) if known[name] <= night and name not in taken)
    if not fresh or any(o.night == night and o.events == fresh for o in built):
        return None
    _remove_files(folder, night)
    last = max((o.night for o in earlier), default=None)
    build = 1 + max((o.build for o in earlier), default=0)
    return GroupPlan(folder.name, FileOrigin(night, fresh, definition, build), last)


def find_taken_in(origins: Iterable[FileOrigin], known: Mapping[str, str]) -> set[str]:
    """Find the event files whose every event is in the rows of these feature files.

    An event file that was known only after a feature file's night is not in its rows, whatever the file states:
    earlier versions took in all the log had.
    """
    return {name for o in origins for name in o.events if name in known and known[name] <= o.night}


def _remove_files(folder: Path, since: str) -> None:
    """Remove a group's files of the night ``since`` and of later ones, the newest first."""
    for path in sorted(folder.glob("*.parquet"), reverse=True):
        if path.stem >= since:
            path.unlink()


@contextmanager
def open_writer(folder: Path, origin: FileOrigin, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Open a night's file to be written table by table; it appears whole or never."""
    stated = {METADATA_KEY: json.dumps(asdict(origin), sort_keys=True).encode()}
    with (
        atomic_write(folder / f"{origin.night}.parquet") as temporary,
        pq.ParquetWriter(temporary, schema.with_metadata(stated), compression="zstd") as writer,
    ):
        yield writer


def write_rows(folder: Path, origin: FileOrigin, table: pa.Table) -> None:
    """Write a night's file of a group, whole or not at all."""
    with open_writer(folder, origin, table.schema) as writer:
        writer.write_table(table)


def scan_rows(folder: Path, keys: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """Scan a group's rows, or those of ``keys``; per ``KEY`` only the newest."""
    rows = pl.scan_parquet(folder / "*.parquet")
    wanted = rows if keys is None else rows.join(keys, on=KEY, how="semi")
    return wanted.sort("created_timestamp").unique(KEY, keep="last", maintain_order=True)


def check_one_model(rows: pl.LazyFrame) -> None:
    """Raise ``FeaturesError`` for trajectory rows of several models, which no answer may mix."""
    versions = rows.select(pl.col("model_version").drop_nulls().unique().sort()).collect()["model_version"].to_list()
    if len(versions) > 1:
        raise FeaturesError(f"trajectory rows of several models ({', '.join(versions)}): run `pmlm features build`")
