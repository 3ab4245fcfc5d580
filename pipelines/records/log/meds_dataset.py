"""Writes the event log as a MEDS dataset, every code with its description."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from meds import (
    CodeMetadataSchema,
    DataSchema,
    DatasetMetadataSchema,
    __version__,
    code_metadata_filepath,
    data_subdirectory,
    dataset_metadata_filepath,
)

from models.fact_disputes import DISPUTE_KIND, MARK
from models.vocabulary import OWN_CODES, SIGNAL_BY_CODE
from pipelines.records.log.event_log import scan_events, select_as_of
from pmlm.settings import Settings
from pmlm.storage import atomic_write, write_json

#: Kinds of events whose text is the display of their code.
_NAMED = ("condition", "medicine", "allergy", "procedure", "encounter")
_COLUMNS = ["subject_id", "time", "code", "numeric_value", "text_value", "unit", "known_at", "kind", "encounter_id"]


def export_meds(settings: Settings, out: Path, t: datetime) -> int:
    """Write the facts known by ``t`` under ``out``; return the number of events.

    Questions and replies are left out: their text, though de-identified, is no code. So are disputes and the values and
    statements that they call wrong. MEDS times are UTC without zone.
    """
    known = select_as_of(scan_events(settings), t)
    left_out = pl.col("kind").is_in(["question", "reply", DISPUTE_KIND]) | pl.col("kind").str.ends_with(".disputed")
    facts = known.filter(~left_out).with_columns(pl.col("text_value").str.strip_suffix(MARK))
    frame = facts.select(_COLUMNS).sort("subject_id", "time", "code", "known_at", nulls_last=False).collect()
    naive = [pl.col(c).dt.replace_time_zone(None) for c in ("time", "known_at")]
    table = DataSchema.align(frame.with_columns(naive).to_arrow())
    with atomic_write(out / data_subdirectory / "0.parquet") as temporary:
        pq.write_table(table, temporary)
    with atomic_write(out / code_metadata_filepath) as temporary:
        pq.write_table(CodeMetadataSchema.align(describe_codes(frame).to_arrow()), temporary)
    metadata = DatasetMetadataSchema(
        dataset_name=settings.clinic,
        etl_name="pmlm",
        etl_version="0.1.0",
        meds_version=__version__,
        code_modifier_columns=["unit"],
    )
    write_json(out / dataset_metadata_filepath, json.loads(json.dumps(metadata.to_dict(), default=str)))
    return len(frame)


def describe_codes(facts: pl.DataFrame) -> pl.DataFrame:
    """One row per code of the facts: ``code``, ``description`` (null: none is known), ``parent_codes``.

    A description is ours where the code has a meaning here, else the display that the records give it most often.
    """
    ours = OWN_CODES | {code: signal.label for code, signal in SIGNAL_BY_CODE.items()}
    display = pl.when(pl.col("kind").str.split(".").list.first().is_in(_NAMED)).then("text_value")
    counted = facts.group_by("code", display.alias("display")).len()
    commonest = counted.sort("code", pl.col("display").is_null(), -pl.col("len").cast(pl.Int64), "display")
    codes = commonest.unique("code", keep="first", maintain_order=True)
    own = pl.col("code").replace_strict(ours, default=None, return_dtype=pl.String)
    return codes.select(
        "code",
        pl.coalesce(own, "display").alias("description"),
        pl.lit(None, pl.List(pl.String)).alias("parent_codes"),
    )
