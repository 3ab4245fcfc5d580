"""Quarantine rows as lines again, and requests to delete as the records they mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import polars as pl

from pipelines.night_dates import parse_night as day_of
from pipelines.records.extract.facts import END
from pipelines.records.log.draft_events import TOUCHED_SCHEMA
from pipelines.records.log.quarantine import QuarantineRow
from pipelines.records.read.fhir_time import end_of
from pipelines.records.read.raw_resource import RawResource, ResourceError
from pmlm.settings import Settings

_FACETS: dict[str, tuple[str, ...]] = {
    "Patient": ("language", "death"),
    "Condition": (END,),
    "MedicationRequest": (END,),
}
_ROWS = 50_000

Deletion = tuple[str, str, str]
"""(type, id, source) of a resource to be deleted."""


def parse_row(row: QuarantineRow) -> RawResource:
    """The line a quarantine row holds, as it now stands there."""
    line = RawResource(row.file, row.line, row.text, entry=row.entry, deleted=row.deleted, row=row.row)
    line.since = end_of(day_of(row.night))
    try:
        value: Any = orjson.loads(row.text)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        line.resource = value.get("resource", value) if "resourceType" not in value else value
    else:
        line.broken = (
            ResourceError("invalid_json", "the line is not valid JSON")
            if row.text
            else ResourceError(row.rule, row.reason)
        )
    return line


def find_deleted_records(settings: Settings, log: pl.LazyFrame, deletions: list[Deletion]) -> Iterator[pl.DataFrame]:
    """Every record that deleted resources may have in the log: rows of ``TOUCHED_SCHEMA``, some thousands a frame."""
    seen = any(kind == "Observation" for kind, _, _ in deletions)
    observed = log.filter(pl.col("kind") == "observation").select(pl.col("code").unique()).collect() if seen else None
    codes = tuple(observed["code"]) if observed is not None else ()
    at_once = max(1, _ROWS // (1 + len(codes)))
    for first in range(0, len(deletions), at_once):
        rows: list[tuple[int, str, int, int]] = []
        for kind, ident, source in deletions[first : first + at_once]:
            whole = settings.pseudonym(kind, ident)
            facets = codes if kind == "Observation" else _FACETS.get(kind, ())
            records = (whole, *(settings.pseudonym(kind, ident, facet) for facet in facets))
            rows.extend((record, source, 0, whole) for record in records)
        yield pl.DataFrame(rows, schema=TOUCHED_SCHEMA, orient="row")
