"""Find the records that a deleted resource may have in the log."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from pipelines.records.extract.allergy import DISPUTED, UNREAD
from pipelines.records.extract.facts import END
from pipelines.records.log.versions import TOUCHED_SCHEMA
from pmlm.settings import Settings

_DELETED_RECORDS = 50_000  # about as many records per frame
_DELETED_FACETS: dict[str, tuple[str, ...]] = {
    "Patient": ("language", "death"),
    "Condition": (END,),
    "AllergyIntolerance": (UNREAD, DISPUTED),
    "MedicationRequest": (END,),
    "MedicationStatement": (END,),
    "EpisodeOfCare": (END,),
    "Procedure": ("outcome",),
}

Deletion = tuple[str, str, str, tuple[int, int]]
"""(type, id, content hash, stated version) of a resource to delete."""


def find_deleted_records(settings: Settings, log: pl.LazyFrame, deletions: list[Deletion]) -> Iterator[pl.DataFrame]:
    """Yield every record that deleted resources may have in the log, as rows of ``TOUCHED_SCHEMA``."""
    codes: tuple[str, ...] = ()  # an observation's facets are codes: any code in the log may be one
    if any(kind == "Observation" for kind, *_ in deletions):
        observed = log.filter(pl.col("kind") == "observation").select(pl.col("code").unique()).collect()
        codes = tuple(observed["code"])
    step = max(1, _DELETED_RECORDS // (1 + len(codes)))
    for first in range(0, len(deletions), step):
        rows: list[tuple[object, ...]] = []
        for kind, ident, source, version in deletions[first : first + step]:
            whole = settings.pseudonym(kind, ident)
            facets = codes if kind == "Observation" else _DELETED_FACETS.get(kind, ())
            records = (whole, *(settings.pseudonym(kind, ident, facet) for facet in facets))
            allergy = kind == "AllergyIntolerance"
            rows.extend((record, source, 0, whole, *version, allergy) for record in records)
        yield pl.DataFrame(rows, schema=TOUCHED_SCHEMA, orient="row")
