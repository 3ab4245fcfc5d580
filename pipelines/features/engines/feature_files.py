"""Read, plan and write feature files, each of which states what it was made of.

A group's folder has one Parquet file per night, made of the event files known by that night's end and not taken in by
an earlier night's. Its metadata says which event files it took in, by which definition, as which build: a killed build
has left no file, and starts again from the same point. A row that a later night computes again (an event turned up that
was known earlier) supersedes the older one by its greater ``created_timestamp``.

Where many processes write (Spark), a night has several files, ``20260601.parquet``, ``20260601-1.parquet`` and so on,
each with the same metadata. The first is put in place last; what a kill leaves without it is removed before a group is
next built or materialised.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from pmlm.storage import FILE_MODE, atomic_write, make_private_folder

METADATA_KEY = b"pmlm"
#: Between a night and the number of a file that is not its first.
PART = "-"


@dataclass(frozen=True, slots=True)
class FileOrigin:
    """What a feature file was made of, as its metadata (JSON) says."""

    night: str
    events: tuple[str, ...]
    definition: str
    build: int

    @property
    def created(self) -> datetime:
        """The ``created_timestamp`` of the rows: greater for later nights, equal on every rerun."""
        return end_of_night(self.night) + timedelta(seconds=self.build)


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


@dataclass(frozen=True, slots=True)
class NightFile:
    """A group's file of a night that is to be written: where, of what, and its rows' columns."""

    folder: Path
    origin: FileOrigin
    columns: tuple[str, ...]

    @property
    def metadata(self) -> dict[bytes, bytes]:
        return {METADATA_KEY: json.dumps(asdict(self.origin), sort_keys=True).encode()}

    def finish(self, table: pa.Table) -> pa.Table:
        """Order columns as the group's view does, and add ``created_timestamp``."""
        created = pa.array([self.origin.created] * table.num_rows, pa.timestamp("us", tz="UTC"))
        return table.select(self.columns).append_column("created_timestamp", created)


def read_night(path: Path | str) -> str:
    """Read the night of a feature file from its name."""
    return Path(path).stem.partition(PART)[0]


def list_night_files(features: Path, group: str, night: str) -> list[Path]:
    """List a group's files (``*``: every group's) of a night."""
    return sorted([*features.glob(f"{group}/{night}.parquet"), *features.glob(f"{group}/{night}{PART}*.parquet")])


def read_origins(folder: Path) -> list[FileOrigin]:
    """Read the origins of a group's files, in night order, with definitions named as today."""
    found: list[FileOrigin] = []
    files: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("[0-9]*.parquet")):
        if PART in path.stem:
            continue
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
    remove_uncommitted(folder)
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


def remove_uncommitted(folder: Path) -> None:
    """Remove the files of nights whose first file is missing: a killed build left them."""
    for path in folder.glob(f"*{PART}*.parquet"):
        if not (folder / f"{read_night(path)}.parquet").exists():
            path.unlink()


@contextmanager
def open_writer(file: NightFile, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Open a night's file to be written table by table (``NightFile.finish``); it appears whole or never."""
    with (
        atomic_write(file.folder / f"{file.origin.night}.parquet") as temporary,
        pq.ParquetWriter(temporary, schema.with_metadata(file.metadata), compression="zstd") as writer,
    ):
        yield writer


def commit_parts(file: NightFile, parts: Sequence[Path]) -> None:
    """Move files that others have written whole into place, the one that makes them count last."""
    make_private_folder(file.folder)
    for number in reversed(range(len(parts))):
        parts[number].chmod(FILE_MODE)
        name = file.origin.night + (f"{PART}{number}" if number else "")
        parts[number].replace(file.folder / f"{name}.parquet")


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
