"""The identifiers a clinic's drops have named so far, as keyed hashes, one private file a drop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set as AbstractSet
from functools import lru_cache
from pathlib import Path

import polars as pl

from pipelines.records.deidentify.identifiers import CLINIC, WORDS, extract_identifiers
from pipelines.records.read.raw_resource import Resource
from pmlm.settings import Settings
from pmlm.storage import atomic_write

_NOTHING: frozenset[int] = frozenset()
_SCHEMA = {"subject_id": pl.Int64, "hash": pl.Int64, "person": pl.Boolean}


class IdentifierIndex:
    """Identifier hashes by patient, and the clinic's; ``person`` holds those that are a word of a person's name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._added: set[tuple[int, int, bool]] = set()
        self.of: dict[int, set[int]] = defaultdict(set)
        self.person: set[int] = set()
        self.hash_of = lru_cache(maxsize=1 << 14)(self._hash)

    def _hash(self, phrase: tuple[str, ...]) -> int:
        return self._settings.pseudonym("identifier", *phrase)

    def learn(self, resource: Resource, kind: str) -> None:
        """Take in the identifiers a resource names."""
        for owner, phrase, person in extract_identifiers(resource, kind):
            scope = self._settings.subject_id(owner) if owner else CLINIC
            self._added.add((scope, self.hash_of(phrase), person))
            self._added.update((WORDS, self.hash_of((word,)), False) for word in phrase)

    def held(self, scope: int) -> AbstractSet[int]:
        """The hashes known of a patient, or of the clinic."""
        return self.of.get(scope, _NOTHING)

    def settle(self) -> None:
        """Make what was learnt count."""
        for scope, value, person in self._added:
            self._take(scope, value, person)

    def _take(self, scope: int, value: int, person: bool) -> None:
        self.of[scope].add(value)
        if person:
            self.person.add(value)

    def load(self, night: str) -> None:
        """Take in what drops up to a night named."""
        for path in sorted(_folder(self._settings).glob("*.parquet")):
            if path.stem <= night:
                for scope, value, person in pl.read_parquet(path).iter_rows():
                    self._take(scope, value, person)

    def save(self, night: str) -> None:
        """Add what was learnt to what this drop named before; hashes alone, readable by the owner alone."""
        path = _folder(self._settings) / f"{night}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = set(pl.read_parquet(path).iter_rows()) if path.exists() else set()
        with atomic_write(path, mode=0o600) as temporary:
            pl.DataFrame(sorted(self._added | before), schema=_SCHEMA, orient="row").write_parquet(temporary)


def _folder(settings: Settings) -> Path:
    return settings.quarantine / "identifiers"
