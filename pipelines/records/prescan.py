"""The first reading of a drop: what must be known of all of it before any of its resources can be judged."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.records.deidentify.identifier_index import IdentifierIndex
from pipelines.records.log.hash_sets import HashSet
from pipelines.records.log.spill import LARGEST_KEY, count_shares, read_share, write_rows
from pipelines.records.read.coding import CodedConcept, choose_coding
from pipelines.records.read.identity import hash_content
from pipelines.records.read.raw_resource import RawResource, Resource, ResourceError
from pipelines.records.validate.elements import check_concept
from pipelines.records.validate.fields import FIELDS
from pmlm.settings import Settings

BUFFER_ROWS = 1 << 16  # resources noted before they are laid aside
_SEEN = "seen"  # (key, content) of every resource


class Prescan:
    """Patients, drugs and names of a drop; and which (type, id) stand in it twice, equal or not.

    What every resource adds is laid aside under ``place``: memory grows with patients, drugs and names alone.
    """

    def __init__(self, settings: Settings, lines: Iterable[RawResource], names: IdentifierIndex, place: Path) -> None:
        self._settings = settings
        self._names = names
        self._patients = array("q")
        self.medications: dict[int, CodedConcept] = {}
        keys, contents = array("q"), array("q")
        for line in lines:
            kind = (line.resource or {}).get("resourceType")
            if line.resource is None or line.deleted or not isinstance(kind, str):
                continue
            names.learn(line.resource, kind)
            if kind in FIELDS and isinstance(line.resource.get("id"), str):
                keys.append(hash_identity(line, kind))
                contents.append(int(hash_content(settings, line.resource)[:15], 16))
                self._note(line.resource, kind)
            if len(keys) == BUFFER_ROWS:
                keys, contents = _spill_buffers(place, keys, contents)
        _spill_buffers(place, keys, contents)
        names.settle()
        self.patients = HashSet(self._patients)
        self.repeated, self.conflicts = _find_repeats(place)

    def _note(self, resource: Resource, kind: str) -> None:
        if kind == "Patient":
            self._patients.append(self._settings.subject_id(resource["id"]))
        elif kind == "Medication" and "code" in resource:
            try:
                check_concept(resource["code"], "code")
            except ResourceError:
                return
            self.medications[self._settings.pseudonym(kind, resource["id"])] = choose_coding(resource["code"])


def hash_identity(line: RawResource, kind: str) -> int:
    """A resource's identity within the drop its line came with; a key for ``aside``."""
    return hash((line.since, kind, (line.resource or {})["id"])) & LARGEST_KEY


def _spill_buffers(place: Path, keys: array[int], contents: array[int]) -> tuple[array[int], array[int]]:
    """Lay keys and contents aside; new, empty arrays."""
    frame = pl.DataFrame({name: np.asarray(values) for name, values in (("key", keys), ("content", contents))})
    write_rows(place / _SEEN, frame, "key")
    return array("q"), array("q")


def _find_repeats(place: Path) -> tuple[HashSet, HashSet]:
    """Keys that occur more than once, and those of them with more than one content."""
    repeated, conflicts = [], []
    of = count_shares(place / _SEEN)
    for at in range(of):
        seen = read_share(place / _SEEN, "key", at, of, {}).filter(pl.col("key").is_duplicated())
        kinds = seen.group_by("key").agg(pl.col("content").n_unique())
        repeated.append(kinds["key"].to_numpy())
        conflicts.append(kinds.filter(pl.col("content") > 1)["key"].to_numpy())
    return HashSet(*repeated), HashSet(*conflicts)
