"""Find whose material specimens are, those of earlier drops included."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import numpy as np

from pipelines.records.interpret.other_subjects import OTHER, find_material, read_specimen_patient
from pipelines.records.log.spill import HashSet
from pipelines.records.read.identity import read_reference
from pipelines.records.read.raw_resource import Resource

Pseudonym = Callable[..., int]


class SpecimenIndex:
    """The specimens of one drop: ``add`` all of them, ``close``, then ask for a patient's.

    ``wanted`` are the specimens that the drop's observations name. A specimen takes 16 bytes.
    """

    def __init__(self, pseudonym: Pseudonym) -> None:
        self._pseudonym = pseudonym
        self._taken, self._owners, self._wanted = array("q"), array("q"), array("q")
        self.material: dict[int, str] = {}  # of those that are not the patient's own: few
        self._known, self._own = HashSet(), HashSet()

    def add(self, resource: Resource) -> None:
        """Add a Specimen; malformed elements are passed over."""
        ident = resource.get("id")
        if not isinstance(ident, str):
            return
        key = hash_specimen(self._pseudonym, ident)
        self._taken.append(key)
        self._owners.append(hash_owner(self._pseudonym, ident, read_specimen_patient(resource)))
        if subject := find_material(resource):
            self.material[key] = subject

    def want(self, observation: Resource) -> None:
        """Note which specimen an observation names."""
        if (ident := find_specimen_id(observation)) is not None:
            self._wanted.append(hash_specimen(self._pseudonym, ident))

    @property
    def taken(self) -> tuple[np.ndarray, np.ndarray]:
        """The drop's specimens and, beside each, its owner."""
        return np.asarray(self._taken, dtype=np.int64), np.asarray(self._owners, dtype=np.int64)

    def list_missing(self) -> np.ndarray:
        """The specimens that observations name and the drop does not have."""
        return np.setdiff1d(np.asarray(self._wanted, dtype=np.int64), self.taken[0])

    def close(self, specimens: np.ndarray, owners: np.ndarray, material: dict[int, str]) -> None:
        """Make the drop's specimens count, and these of earlier drops."""
        self._known, self._own = HashSet(self._taken, specimens), HashSet(self._owners, owners)
        self.material = material | self.material

    def find_subject(self, ident: str, patient: str) -> str:
        """Whose material a specimen is; empty for the patient's own and for an unknown one."""
        key = hash_specimen(self._pseudonym, ident)
        if key in self.material:
            return self.material[key]
        owners = (hash_owner(self._pseudonym, ident, owner) for owner in (patient, ""))
        return OTHER if key in self._known and not any(map(self._own.__contains__, owners)) else ""

    def find_unknown(self, observation: Resource, patient: str) -> tuple[int, int, int] | None:
        """The keys of an observation's specimen that no drop has had: its own, with her as owner, with nobody."""
        ident = find_specimen_id(observation)
        if ident is None or (key := hash_specimen(self._pseudonym, ident)) in self._known:
            return None
        return key, hash_owner(self._pseudonym, ident, patient), hash_owner(self._pseudonym, ident, "")


def find_specimen_id(observation: Resource) -> str | None:
    """The id of the Specimen that an observation names; None for none, and for a contained one."""
    reference = observation.get("specimen")
    text = reference.get("reference") if isinstance(reference, dict) else None
    target = read_reference({"reference": text}) if isinstance(text, str) else None
    return None if target is None or target[1].startswith("#") else target[1]


def hash_specimen(pseudonym: Pseudonym, ident: str) -> int:
    """The key of a specimen."""
    return pseudonym("Specimen", ident)


def hash_owner(pseudonym: Pseudonym, ident: str, patient: str) -> int:
    """The key of a specimen with its owner, "" where it names none."""
    return pseudonym("Specimen", ident, "of", patient)
