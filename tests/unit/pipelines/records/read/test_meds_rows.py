"""A MEDS dataset is a drop: its rows become resources that pass the same checks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.records.log.event_log import scan_events
from pipelines.records.log.meds_dataset import export_meds
from pipelines.records.log.quarantine import read_rows
from pipelines.records.read.meds_rows import make_resource
from pipelines.records.read.resources import read_resources
from pipelines.records.stage import import_path
from pmlm.settings import Settings
from tests.unit.pipelines.records.fhir import FIRST, Clinic, clinic, condition, medication_request, observation, patient

__all__ = ["clinic"]  # the fixture

AT = datetime(2026, 5, 1, 8, 30)


def row(code: str, value: float | None = None, **more: object) -> dict:
    return {"subject_id": 7, "time": AT, "code": code, "numeric_value": value, "unit": None, **more}


def write(folder: Path, *rows: dict) -> Path:
    """A drop with one MEDS data file."""
    (folder / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / "data" / "0.parquet")
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "drops").mkdir()
    (tmp_path / "drops" / "clinic.yaml").write_text("name: meds\nhash_key: public\n")
    return Settings(home=tmp_path / "home", drops=tmp_path / "drops", key_dir=tmp_path / "keys")


def test_rows_become_events(settings: Settings) -> None:
    drop = write(
        settings.drops / FIRST,
        row("MEDS_BIRTH") | {"time": datetime(1994, 3, 2)}, row("GENDER//F") | {"time": None},
        row("LOINC//29463-7", 61.5, unit="kg"), row("ICD10CM/O24.4"), row("RxNorm/197361"), row("HOSPITAL_ADMISSION"),
    )  # fmt: skip
    accounts = import_path(settings, drop, None)
    assert (accounts.quarantined, accounts.ignored) == (0, 1)
    events = scan_events(settings).collect()
    found = dict(events.select("code", "kind").iter_rows())
    assert {"MEDS_BIRTH", "LOINC//29463-7", "ICD10//O24.4", "RXNORM//197361"} <= set(found)
    assert events.filter(pl.col("code") == "LOINC//29463-7")["time"].item() == AT.replace(tzinfo=UTC)


def test_a_value_without_a_unit_waits_in_quarantine(settings: Settings) -> None:
    import_path(settings, write(settings.drops / FIRST, row("MEDS_BIRTH"), row("LOINC//718-7", 9.5)), None)
    (waiting,) = read_rows(settings)
    assert (waiting.file, waiting.line) == ("data/0.parquet", 2)


def test_a_parquet_file_of_another_kind_is_skipped_by_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    skipped: list[str] = []
    (error,) = read_resources(tmp_path, 1 << 20, skipped)
    assert (error.file, error.error and error.error.rule) == ("broken.parquet", "unreadable_file")
    assert skipped == ["other.parquet"]


@pytest.mark.parametrize("code", ["SNOMED//80146002", "LAB//glucose", "x", "LOINC//"])
def test_a_code_whose_meaning_is_unknown_is_no_fact(code: str) -> None:
    assert make_resource(row(code), 1)["resourceType"] == "Basic"


def test_an_exported_clinic_is_read_back(clinic: Clinic, settings: Settings) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=61.0), condition(), medication_request())
    export_meds(clinic.settings, settings.drops / FIRST, datetime(2026, 12, 1, tzinfo=UTC))
    accounts = import_path(settings, settings.drops / FIRST, None)
    assert accounts.quarantined == 0, json.dumps([r.reason for r in read_rows(settings)])
    columns = ["code", "numeric_value", "unit"]
    kinds = pl.col("kind").is_in(["observation", "condition", "medicine"])
    before, after = (
        scan_events(s).filter(kinds).select(columns).sort(columns).collect() for s in (clinic.settings, settings)
    )
    assert after.rows() == before.rows()
