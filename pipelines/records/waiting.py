"""Quarantine rows as lines again, and requests to delete as the records they mean."""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl

from pipelines.records.clock import day_of
from pipelines.records.extract.facts import END
from pipelines.records.line import Broken, Line
from pipelines.records.moments import end_of
from pipelines.records.quarantine import Row
from pipelines.records.sift import TOUCHED
from pipelines.settings import Settings

_FACETS: dict[str, tuple[str, ...]] = {
    "Patient": ("language", "death"),
    "Condition": (END,),
    "MedicationRequest": (END,),
}


def line_of(row: Row) -> Line:
    """The line a quarantine row holds, as it now stands there."""
    line = Line(row.file, row.line, row.text, entry=row.entry, deleted=row.deleted, row=row.row)
    line.since = end_of(day_of(row.night))
    try:
        value: Any = orjson.loads(row.text)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        line.resource = value.get("resource", value) if "resourceType" not in value else value
    else:
        line.broken = Broken("invalid_json", "the line is not valid JSON") if row.text else Broken(row.rule, row.reason)
    return line


def deletions_touched(settings: Settings, log: pl.LazyFrame, deletions: list[tuple[str, str, str]]) -> pl.DataFrame:
    """Every record that deleted resources may have in the log: (type, id, source) → rows of ``TOUCHED``."""
    seen = any(kind == "Observation" for kind, _, _ in deletions)
    codes = log.filter(pl.col("kind") == "observation").select("code").unique().collect() if seen else None
    rows = []
    for kind, ident, source in deletions:
        facets = tuple(codes["code"]) if kind == "Observation" and codes is not None else _FACETS.get(kind, ())
        rows.append((settings.pseudonym(kind, ident), source, 0))
        rows.extend((settings.pseudonym(kind, ident, facet), source, 0) for facet in facets)
    return pl.DataFrame(rows, schema={k: v for k, v in TOUCHED.items() if k != "item"}, orient="row")
