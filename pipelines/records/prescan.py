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
from pipelines.records.read.identity import hash_content
from pipelines.records.read.raw_resource import RawResource, Resource, ResourceError
from pipelines.records.validate.elements import check_concept
from pipelines.records.validate.fields import FIELDS
from pmlm.settings import Settings

BUFFER_ROWS = 1 << 16  # resources in memory before they spill
_SEEN = "seen"  # place in the spill folder: (key, content) of every resource


class Prescan:
    """A drop's patients, medications and identifiers, and the (type, id) it has more than once.

    ``repeated`` are the keys of those, ``conflicts`` the ones with different contents. Memory grows with patients,
    drugs and identifiers alone: what every resource adds spills to disk under ``place``.
    """

    def __init__(self, settings: Settings, raws: Iterable[RawResource], index: IdentifierIndex, place: Path) -> None:
        self._settings = settings
        self._patients = array("q")
        self.medications: dict[int, CodedConcept] = {}
        self.specimens = SpecimenIndex()
        keys, contents = array("q"), array("q")
        for raw in raws:
            kind = (raw.resource or {}).get("resourceType")
            if raw.resource is None or raw.deleted or not isinstance(kind, str):
                continue
            index.add_resource(raw.resource, kind)
            if kind == "Specimen":
                self.specimens.add(raw.resource)
            if kind in FIELDS and isinstance(raw.resource.get("id"), str):
                keys.append(hash_identity(raw, kind))
                contents.append(int(hash_content(settings, raw.resource)[:15], 16))
                self._add_resource(raw.resource, kind)
            if len(keys) == BUFFER_ROWS:
                keys, contents = _spill_buffers(place, keys, contents)
        _spill_buffers(place, keys, contents)
        index.commit()
        self.specimens.close()
        self.patients = HashSet(self._patients)
        self.repeated, self.conflicts = _find_repeats(place)

    def _add_resource(self, resource: Resource, kind: str) -> None:
        if kind == "Patient":
            self._patients.append(self._settings.subject_id(resource["id"]))
        elif kind == "Medication" and "code" in resource and resource.get("status") != "entered-in-error":
            try:
                check_concept(resource["code"], "code")
            except ResourceError:
                return
            self.medications[self._settings.pseudonym(kind, resource["id"])] = choose_coding(resource["code"])


def hash_identity(raw: RawResource, kind: str) -> int:
    """The key of a resource's (type, id) within its own drop, from 0 to ``LARGEST_KEY``."""
    return hash((raw.since, kind, (raw.resource or {})["id"])) & LARGEST_KEY


def _spill_buffers(place: Path, keys: array[int], contents: array[int]) -> tuple[array[int], array[int]]:
    """Spill keys and contents; return new, empty buffers."""
    frame = pl.DataFrame({name: np.asarray(values) for name, values in (("key", keys), ("content", contents))})
    write_rows(place / _SEEN, frame, "key")
    return array("q"), array("q")


def _find_repeats(place: Path) -> tuple[HashSet, HashSet]:
    """Keys that occur more than once, and those of them with more than one content."""
    repeated, conflicts = [], []
    shares = count_shares(place / _SEEN)
    for index in range(shares):
        rows = read_share(place / _SEEN, "key", index, shares, {}).filter(pl.col("key").is_duplicated())
        contents = rows.group_by("key").agg(pl.col("content").n_unique())
        repeated.append(contents["key"].to_numpy())
        conflicts.append(contents.filter(pl.col("content") > 1)["key"].to_numpy())
    return HashSet(*repeated), HashSet(*conflicts)
