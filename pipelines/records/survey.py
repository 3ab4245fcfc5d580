"""The first reading of a drop: what must be known of all of it before any of its resources can be judged."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np

from pipelines.records.codes import Coded, coded
from pipelines.records.elements import concept
from pipelines.records.fields import FIELDS
from pipelines.records.line import Broken, Line, Resource
from pipelines.records.names import Names
from pipelines.records.source import source_of
from pipelines.settings import Settings


class Survey:
    """Patients, drugs and names of a drop; and which (type, id) stand in it twice, equal or not.

    Memory: 16 bytes a resource of a used type, besides patients and names.
    """

    def __init__(self, settings: Settings, lines: Iterable[Line], names: Names) -> None:
        self._settings = settings
        self._names = names
        self.patients: set[int] = set()
        self.medications: dict[int, Coded] = {}
        keys, contents = array("q"), array("q")
        for line in lines:
            kind = (line.resource or {}).get("resourceType")
            if line.resource is None or line.deleted or not isinstance(kind, str):
                continue
            names.learn(line.resource, kind)
            if kind in FIELDS and isinstance(line.resource.get("id"), str):
                keys.append(key_of(line, kind))
                contents.append(int(source_of(settings, line.resource)[:15], 16))
                self._note(line.resource, kind)
        names.settle()
        self.repeated, self.conflicts = _twice(np.array(keys, dtype=np.int64), np.array(contents, dtype=np.int64))

    def _note(self, resource: Resource, kind: str) -> None:
        if kind == "Patient":
            self.patients.add(self._settings.subject_id(resource["id"]))
        elif kind == "Medication" and "code" in resource:
            try:
                concept(resource["code"], "code")
            except Broken:
                return
            self.medications[self._settings.pseudonym(kind, resource["id"])] = coded(resource["code"])


def key_of(line: Line, kind: str) -> int:
    """A resource's identity within the drop its line came with."""
    return hash((line.since, kind, (line.resource or {})["id"]))


def _twice(keys: np.ndarray, contents: np.ndarray) -> tuple[frozenset[int], frozenset[int]]:
    """Keys that occur more than once, and those of them with more than one content."""
    if not len(keys):
        return frozenset(), frozenset()
    order = np.lexsort((contents, keys))
    keys, contents = keys[order], contents[order]
    same_key = keys[1:] == keys[:-1]
    differs = same_key & (contents[1:] != contents[:-1])
    return frozenset(keys[1:][same_key].tolist()), frozenset(keys[1:][differs].tolist())
