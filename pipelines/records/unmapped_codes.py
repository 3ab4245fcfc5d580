"""List codes that PMLM cannot read, by how many patients they concern."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.records.log import event_log
from pmlm.settings import Settings

_SYSTEMS = ("LOCAL", "TEXT")
#: Kinds whose text is the name of the code; that of the others is a value.
_NAMED = ("condition", "medicine", "procedure", "allergy")


@dataclass(frozen=True, slots=True)
class UnmappedCode:
    """A code of the clinic's own, how many patients have it, and its commonest name."""

    code: str
    kind: str
    patients: int
    events: int
    text: str


def list_unmapped_codes(settings: Settings) -> list[UnmappedCode]:
    """List the log's codes without a public meaning, those of most patients first."""
    latest = event_log.select_as_of(event_log.scan_events(settings), settings.now())
    own = latest.filter(pl.col("code").str.split("//").list.first().is_in(_SYSTEMS))
    kind = pl.col("kind").str.split(".").list.first()
    text = pl.when(kind.is_in(_NAMED)).then(pl.col("text_value")).drop_nulls().mode().sort().first()
    counted = own.group_by("code", kind.alias("kind")).agg(
        patients=pl.col("subject_id").n_unique(), events=pl.len(), text=text
    )
    rows = counted.sort("patients", "code", "kind", descending=[True, False, False]).collect().to_dicts()
    return [UnmappedCode(**row | {"text": row["text"] or ""}) for row in rows]
