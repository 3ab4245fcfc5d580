"""Refuse the records of erased patients before they are read: counted, not named."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator

from pipelines.records.log.ledger import Accounts
from pipelines.records.read.identity import hash_patient, read_reference
from pipelines.records.read.raw_resource import RawResource, Resource
from pipelines.tombstones import ErasedPatients
from pmlm.settings import Settings

#: How the accounts of a drop count them among what was ignored.
REFUSED = "record of an erased patient"
#: What may be an id in a text that is no sound resource.
_ID = re.compile(rb"[A-Za-z0-9.\-]{1,64}")
_PERSONS = ("subject", "patient", "sender", "recipient")


class PatientFinder:
    """Finds the resources that are some patients': by whom they are about, or wrote or received them."""

    def __init__(self, settings: Settings, patients: Container[int]) -> None:
        self._settings = settings
        self._patients = patients
        self._known: dict[str, bool] = {}

    def names_any(self, raw: RawResource) -> bool:
        """Whether the resource is one of the patients'; one whose patient cannot be read, whether it names any."""
        owners = [] if raw.error or raw.resource is None else _list_owners(raw.resource)
        return any(map(self._is_theirs, owners)) if owners else self.finds_any(raw.text)

    def finds_any(self, text: bytes) -> bool:
        """Whether any word of a text is the id of one of the patients."""
        return any(self._is_theirs(found.decode()) for found in set(_ID.findall(text)))

    def _is_theirs(self, ident: str) -> bool:
        if ident not in self._known:
            self._known[ident] = hash_patient(self._settings, ident) in self._patients
        return self._known[ident]


class RefusedRecords:
    """Passes on the resources of one drop that are nobody's who was erased, and counts the others."""

    def __init__(self, settings: Settings) -> None:
        erased = ErasedPatients(settings)
        self._finder = PatientFinder(settings, erased) if len(erased) else None
        self.count = 0

    def pass_on(self, raws: Iterable[RawResource]) -> Iterator[RawResource]:
        """Yield the resources that may be read."""
        for raw in raws:
            if self._finder is not None and self._finder.names_any(raw):
                self.count += 1
            else:
                yield raw

    def add_to(self, accounts: Accounts) -> None:
        """Count the refused records as read and ignored."""
        if self.count:
            accounts.read += self.count
            accounts.ignored += self.count
            types = accounts.ignored_types | {REFUSED: self.count}
            accounts.ignored_types = dict(sorted(types.items()))


def _list_owners(resource: Resource) -> list[str]:
    """The ids of the patients that a resource is about, or who wrote or receive it."""
    if resource.get("resourceType") == "Patient":
        return [ident] if isinstance(ident := resource.get("id"), str) else []
    named = [value for key in _PERSONS for value in _as_list(resource.get(key)) if isinstance(value, dict)]
    return [found[1] for one in named if isinstance(one.get("reference"), str) and (found := read_reference(one))]


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
