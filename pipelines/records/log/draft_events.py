"""What sifting hands to the log: events before the log has seen them, and which records a sound resource touches."""

from __future__ import annotations

from typing import Any

import polars as pl

#: Names of the two tables among what is laid aside, both by ``resource``.
DRAFTS, TOUCHED = "drafts", "touched"

#: ``known`` is a history's own clock, ``since`` as in ``Line``, ``resource`` the hash of type and id.
DRAFT_SCHEMA: dict[str, Any] = {
    "subject_id": pl.Int64,
    "time": pl.Int64,
    "code": pl.String,
    "numeric_value": pl.Float64,
    "text_value": pl.String,
    "known": pl.Int64,
    "kind": pl.String,
    "unit": pl.String,
    "encounter_id": pl.Int64,
    "record": pl.Int64,
    "parent": pl.Int64,
    "source": pl.String,
    "since": pl.Int64,
    "resource": pl.Int64,
}
#: Every record a sound resource may have had a fact under before, with its present source.
TOUCHED_SCHEMA: dict[str, Any] = {"record": pl.Int64, "source": pl.String, "since": pl.Int64, "resource": pl.Int64}
