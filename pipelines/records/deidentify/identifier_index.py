"""Index of the identifiers that drops name: keyed hashes, one private file per drop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set as AbstractSet
from functools import lru_cache
from pathlib import Path

import polars as pl

from pipelines.records.deidentify.identifiers import CLINIC, WORDS, extract_identifiers
from pipelines.records.read.identity import hash_patient
from pipelines.records.read.raw_resource import Resource
from pmlm.settings import Settings
from pmlm.storage import atomic_write

_NOTHING: frozenset[int] = frozenset()
_SCHEMA = {"subject_id": pl.Int64, "hash": pl.Int64, "person": pl.Boolean}


class IdentifierIndex:
    """Identifier hashes by scope: a patient, ``CLINIC`` or ``WORDS``.

    ``name_words`` are the hashes of single words of persons' names.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._added: set[tuple[int, int, bool]] = set()
        self._by_scope: dict[int, set[int]] = defaultdict(set)
        self.name_words: set[int] = set()
        self.hash_phrase = lru_cache(maxsize=1 << 14)(self._hash_phrase)

    def _hash_phrase(self, phrase: tuple[str, ...]) -> int:
        return self._settings.pseudonym("identifier", *phrase)

    def add_resource(self, resource: Resource, kind: str) -> None:
        """Collect the identifiers that a resource names; they count after ``commit``."""
        for owner, phrase, person in extract_identifiers(resource, kind):
            scope = hash_patient(self._settings, owner) if owner else CLINIC
            self._added.add((scope, self.hash_phrase(phrase), person))
            self._added.update((WORDS, self.hash_phrase((word,)), False) for word in phrase)

    def commit(self) -> None:
        """Make the collected identifiers count."""
        for scope, value, person in self._added:
            self._insert(scope, value, person)

    def find_hashes(self, scope: int) -> AbstractSet[int]:
        """The hashes of a scope."""
        return self._by_scope.get(scope, _NOTHING)

    def _insert(self, scope: int, value: int, person: bool) -> None:
        self._by_scope[scope].add(value)
        if person:
            self.name_words.add(value)

    def load(self, night: str) -> None:
        """Load what drops up to a night named."""
        for path in sorted(_folder(self._settings).glob("*.parquet")):
            if path.stem <= night:
                for scope, value, person in pl.read_parquet(path).iter_rows():
                    self._insert(scope, value, person)

    def save(self, night: str) -> None:
        """Add the collected hashes to the drop's file, readable by the owner only."""
        path = _folder(self._settings) / f"{night}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = set(pl.read_parquet(path).iter_rows()) if path.exists() else set()
        with atomic_write(path, mode=0o600) as temporary:
            pl.DataFrame(sorted(self._added | before), schema=_SCHEMA, orient="row").write_parquet(temporary)


def _folder(settings: Settings) -> Path:
    return settings.quarantine / "identifiers"
