"""The event log as a MEDS dataset (package ``meds`` 0.4)."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from meds import DataSchema, DatasetMetadataSchema, __version__, data_subdirectory, dataset_metadata_filepath

from pipelines.records.log.event_log import scan_events, select_as_of
from pmlm.settings import Settings
from pmlm.storage import atomic_write, write_json

_COLUMNS = ["subject_id", "time", "code", "numeric_value", "text_value", "unit", "known_at", "kind", "encounter_id"]


def export_meds(settings: Settings, out: Path, t: datetime) -> int:
    """Write the facts known by ``t`` under ``out``; return the number of events.

    Questions and replies are left out: their text, though de-identified, is no code. MEDS times are UTC without zone.
    """
    facts = select_as_of(scan_events(settings), t).filter(~pl.col("kind").is_in(["question", "reply"]))
    frame = facts.select(_COLUMNS).sort("subject_id", "time", "code", "known_at", nulls_last=False).collect()
    naive = [pl.col(c).dt.replace_time_zone(None) for c in ("time", "known_at")]
    table = DataSchema.align(frame.with_columns(naive).to_arrow())
    with atomic_write(out / data_subdirectory / "0.parquet") as temporary:
        pq.write_table(table, temporary)
    metadata = DatasetMetadataSchema(
        dataset_name=settings.clinic,
        etl_name="pmlm",
        etl_version="0.1.0",
        meds_version=__version__,
        code_modifier_columns=["unit"],
    )
    write_json(out / dataset_metadata_filepath, json.loads(json.dumps(metadata.to_dict(), default=str)))
    return len(frame)
