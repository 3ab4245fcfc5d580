"""The first pass over a drop: its patients, medications, identifiers and repeated resources."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.records.deidentify.identifier_index import IdentifierIndex
from pipelines.records.interpret.specimens import SpecimenIndex
from pipelines.records.log.spill import LARGEST_KEY, HashSet, count_shares, read_share, write_rows
from pipelines.records.read.coding import CodedConcept, choose_coding
from pipelines.records.read.identity import hash_content, hash_patient, read_version
from pipelines.records.read.json_keys import find_repeated_key
from pipelines.records.read.raw_resource import RawResource, Resource, ResourceError
from pipelines.records.validate.elements import check_concept
from pipelines.records.validate.fields import FIELDS
from pmlm.settings import Settings

BUFFER_ROWS = 1 << 16  # resources in memory before they spill
DELETION = -1  # the content of a request to delete
_SEEN = "seen"  # place in the spill folder: a row of these columns of every resource
_COLUMNS = ("key", "content", "updated", "version")
_Columns = tuple["array[int]", ...]


class Prescan:
    """A drop's patients, medications and identifiers, and the (type, id) it has more than once.

    ``repeated`` are the keys of those, ``conflicts`` the ones with contents of which none is the later version, and
    ``latest`` the content of the latest version of the others. ``ambiguous`` are the lines of which an object has a key
    twice, with that key: looked for here alone, since it takes a second look at the text. Memory grows with patients,
    drugs and identifiers alone: what every resource adds spills to disk under ``place``.
    """

    def __init__(self, settings: Settings, raws: Iterable[RawResource], index: IdentifierIndex, place: Path) -> None:
        self._settings = settings
        self._patients = array("q")
        self.medications: dict[int, CodedConcept] = {}
        self.specimens = SpecimenIndex(settings.pseudonym)
        self.ambiguous: dict[tuple[str, int, int, str], str] = {}
        columns = tuple(array("q") for _ in _COLUMNS)
        for raw in raws:
            kind = (raw.resource or {}).get("resourceType")
            if raw.resource is None or not isinstance(kind, str):
                continue
            if raw.data and (key := find_repeated_key(raw.data, raw.resource)):
                self.ambiguous[find_place(raw)] = key
                continue
            if raw.deleted:
                if kind in FIELDS:
                    _add_row(columns, hash_identity(raw, kind), DELETION, raw.resource)
                continue
            index.add_resource(raw.resource, kind)
            if kind == "Specimen":
                self.specimens.add(raw.resource)
            elif kind == "Observation" and "specimen" in raw.resource:
                self.specimens.want(raw.resource)
            if kind in FIELDS and isinstance(raw.resource.get("id"), str):
                _add_row(columns, hash_identity(raw, kind), shorten_content(settings, raw.resource), raw.resource)
                self._add_resource(raw.resource, kind)
            if len(columns[0]) >= BUFFER_ROWS:
                columns = _spill_buffers(place, columns)
        _spill_buffers(place, columns)
        index.commit()
        self.patients = HashSet(self._patients)
        self.repeated, self.conflicts, self.latest = _find_repeats(place)

    def _add_resource(self, resource: Resource, kind: str) -> None:
        if kind == "Patient":
            self._patients.append(hash_patient(self._settings, resource["id"]))
        elif kind == "Medication" and "code" in resource and resource.get("status") != "entered-in-error":
            try:
                check_concept(resource["code"], "code")
            except ResourceError:
                return
            self.medications[self._settings.pseudonym(kind, resource["id"])] = choose_coding(resource["code"])


def hash_identity(raw: RawResource, kind: str) -> int:
    """The key of a resource's (type, id) within its own drop, from 0 to ``LARGEST_KEY``."""
    return hash((raw.since, kind, (raw.resource or {})["id"])) & LARGEST_KEY


def find_place(raw: RawResource) -> tuple[str, int, int, str]:
    """Where a resource stands: file, line, entry, and the row of one from quarantine."""
    return raw.file, raw.line, raw.entry, raw.row


def shorten_content(settings: Settings, resource: Resource) -> int:
    """The first 60 bits of a resource's content hash."""
    return int(hash_content(settings, resource)[:15], 16)


def _add_row(columns: _Columns, key: int, content: int, resource: Resource) -> None:
    for column, value in zip(columns, (key, content, *read_version(resource)), strict=True):
        column.append(value)


def _spill_buffers(place: Path, columns: _Columns) -> _Columns:
    """Spill the columns; return new, empty ones."""
    frame = pl.DataFrame({name: np.asarray(values) for name, values in zip(_COLUMNS, columns, strict=True)})
    write_rows(place / _SEEN, frame, "key")
    return tuple(array("q") for _ in _COLUMNS)


def _find_repeats(place: Path) -> tuple[HashSet, HashSet, dict[int, int]]:
    """Keys that occur more than once, those whose contents conflict, and the latest content of the others."""
    repeated, conflicts, latest = [], [], dict[int, int]()
    shares = count_shares(place / _SEEN)
    for index in range(shares):
        rows = read_share(place / _SEEN, "key", index, shares, {}).filter(pl.col("key").is_duplicated())
        repeated.append(rows.filter(pl.col("content") != DELETION)["key"].unique().to_numpy())
        several = rows.filter(pl.col("content").n_unique().over("key") > 1)
        newest = _choose_newest(several)
        latest |= dict(newest.iter_rows())
        conflicts.append(several.filter(~pl.col("key").is_in(newest["key"].to_list()))["key"].unique().to_numpy())
    return HashSet(*repeated), HashSet(*conflicts), latest


def _choose_newest(versions: pl.DataFrame) -> pl.DataFrame:
    """The ``key`` and ``content`` of each resource's latest version, where its versions say which that is.

    Where all have ``lastUpdated`` that decides, then ``versionId``; else ``versionId`` where all have one.
    """
    by_time = (pl.col("updated") > 0).all().over("key")
    by_number = (pl.col("version") > 0).all().over("key")
    ranked = versions.filter(by_time | by_number).with_columns(
        updated=pl.when(by_time).then("updated").otherwise(0), version=pl.when(by_number).then("version").otherwise(0)
    )
    rank = pl.struct("updated", "version")
    top = ranked.filter(rank == rank.sort().last().over("key")).unique(["key", "content"])
    return top.filter(~pl.col("key").is_duplicated()).select("key", "content")
