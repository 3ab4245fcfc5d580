"""Whose material a drop's specimens are, in 16 bytes a specimen."""

from __future__ import annotations

from array import array

from pipelines.records.interpret.other_subjects import OTHER, find_material, read_specimen_patient
from pipelines.records.log.spill import LARGEST_KEY, HashSet
from pipelines.records.read.raw_resource import Resource


class SpecimenIndex:
    """The specimens of one drop: ``add`` all of them, ``close``, then ask for a patient's."""

    def __init__(self) -> None:
        self._taken, self._owned = array("q"), array("q")
        self._material: dict[int, str] = {}  # of those that are not the patient's own: few
        self._known, self._own = HashSet(), HashSet()

    def add(self, resource: Resource) -> None:
        """Add a Specimen; malformed elements are passed over."""
        ident = resource.get("id")
        if not isinstance(ident, str):
            return
        self._taken.append(_hash(ident))
        self._owned.append(_hash(ident, read_specimen_patient(resource)))
        if subject := find_material(resource):
            self._material[_hash(ident)] = subject

    def close(self) -> None:
        """Make the specimens count."""
        self._known, self._own = HashSet(self._taken), HashSet(self._owned)
        self._taken, self._owned = array("q"), array("q")

    def find_subject(self, ident: str, patient: str) -> str:
        """Whose material a specimen is; empty for the patient's own and for an unknown one."""
        key = _hash(ident)
        if key in self._material:
            return self._material[key]
        foreign = key in self._known and _hash(ident, patient) not in self._own and _hash(ident, "") not in self._own
        return OTHER if foreign else ""


def _hash(*parts: str) -> int:
    return hash(parts) & LARGEST_KEY
