"""``pmlm records`` and ``pmlm quarantine`` as a user types them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import meds_reader
import polars as pl
import pytest
from meds import CodeMetadataSchema, DataSchema, birth_code, code_metadata_filepath
from pyarrow import parquet
from typer.testing import CliRunner

from pipelines.records import stage
from pipelines.records.log.ledger import read_entries
from pmlm.cli.main import app
from pmlm.errors import RecordsError
from tests.unit.pipelines.records.fhir import (
    FIRST,
    Clinic,
    clinic,
    condition,
    no_data_docs,
    observation,
    patient,
    question,
    with_data_docs,
)

__all__ = ["clinic", "no_data_docs", "with_data_docs"]  # fixtures

SECOND = "2026-06-02"


@pytest.fixture(autouse=True)
def own_state(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands' own settings come from the environment."""
    monkeypatch.setenv("PMLM_HOME", str(clinic.settings.home))
    monkeypatch.setenv("PMLM_KEY_DIR", str(clinic.settings.key_dir))


def pmlm(*arguments: str | Path) -> str:
    """Run a command that must succeed; what it printed."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def last(printed: str) -> dict:
    return json.loads(printed.splitlines()[-1])


@pytest.mark.usefixtures("with_data_docs")
def test_import_of_a_dated_drop_goes_to_the_clinic_of_its_folder(clinic: Clinic) -> None:
    clinic.put(FIRST, "records.ndjson", [patient(), observation("w"), {"resourceType": "Claim"}, "broken"])

    result = last(pmlm("records", "import", clinic.settings.drops / FIRST, "--json"))
    assert {k: result[k] for k in ("read", "accepted", "ignored", "quarantined", "by_rule")} == {
        "read": 4, "accepted": 2, "ignored": 1, "quarantined": 1, "by_rule": {"invalid_json": 1}
    }  # fmt: skip
    assert clinic.event("observation")


@pytest.mark.usefixtures("with_data_docs")
def test_import_of_a_clinic_takes_all_pending_drops(clinic: Clinic) -> None:
    clinic.put(SECOND, "w.ndjson", [observation("w")])
    clinic.put(FIRST, "p.ndjson", [patient(), condition()])

    assert last(pmlm("records", "import", clinic.settings.drops, "--json"))["read"] == 3
    assert last(pmlm("records", "import", clinic.settings.drops, "--json"))["read"] == 0


def test_import_of_a_single_file_is_dated_by_the_option(clinic: Clinic, tmp_path: Path) -> None:
    clinic.drop(FIRST, patient())
    file = tmp_path / "late.json"
    file.write_text(json.dumps(observation("w")))

    pmlm("records", "import", file, "--date", SECOND, "--drops", clinic.settings.drops)
    assert clinic.event("observation")["known_at"].date().isoformat() == SECOND


@pytest.mark.parametrize("arguments", [["nowhere"], [".", "--date", "first of June"]])
def test_import_of_nothing_says_so(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["records", "import", *arguments]).exit_code != 0


def test_the_list_of_quarantine_shows_the_raw_line_only_when_asked(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w7", value=71717171.0))

    row = last(pmlm("quarantine", "list", "--json", "--drops", clinic.settings.drops))
    assert row | {"file": "records.ndjson", "line": 2, "id": "w7", "rule": "impossible_value"} == row
    assert "71717171" not in pmlm("quarantine", "list", "--drops", clinic.settings.drops)
    assert "71717171" in last(pmlm("quarantine", "list", "--raw", "--json", "--drops", clinic.settings.drops))["raw"]


def test_the_list_of_quarantine_counts_by_rule_and_is_cut(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), *(observation(f"w{i}", value=71717171.0) for i in range(3)), "broken")

    whole = pmlm("quarantine", "list", "--drops", clinic.settings.drops)
    assert re.search(r"impossible_value\s+│\s+3", whole)
    cut = pmlm("quarantine", "list", "--limit", "1", "--rule", "impossible_value", "--drops", clinic.settings.drops)
    assert "3 rows" in cut
    assert "2 more" in cut
    assert "invalid_json" not in cut


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"patients.csv": "id,name\n1,x\n"}, "patients.csv is CSV: FHIR NDJSON or Bundles are read"),
        ({"notes.txt": "hello"}, "no file of 1 is FHIR"),
        ({}, "no file in it"),
    ],
)
def test_a_first_drop_without_a_resource_is_refused_with_the_reason(
    clinic: Clinic, files: dict[str, str], found: str
) -> None:
    drop = clinic.settings.drops / FIRST
    drop.mkdir(parents=True)
    for name, text in files.items():
        (drop / name).write_text(text)

    with pytest.raises(RecordsError, match=f"0 resources in {FIRST}; {re.escape(found)}"):
        stage.import_path(clinic.settings, drop, None)
    assert not read_entries(clinic.settings)


def test_a_later_drop_without_files_is_a_night_without_news_but_a_table_is_refused(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient())
    drop = clinic.settings.drops / SECOND
    drop.mkdir()
    (drop / "manifest.json").write_text('{"output": []}')
    assert last(pmlm("records", "import", drop, "--json"))["read"] == 0

    clinic.put("2026-06-03", "patients.csv", ["id,name"])
    with pytest.raises(RecordsError, match=r"patients\.csv is CSV"):
        stage.import_path(clinic.settings, clinic.settings.drops / "2026-06-03", None)


@pytest.mark.usefixtures("with_data_docs")
def test_replay_prints_what_it_released(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=71717171.0))
    clinic.put(FIRST, "records.ndjson", [patient(), observation("w", value=71.0)])

    result = last(pmlm("quarantine", "replay", "--json", "--drops", clinic.settings.drops))
    assert result == {"tried": 1, "released": {"impossible_value": 1}, "held": 0, "events": 1}


def test_a_meds_export_holds_what_is_known_in_the_columns_of_meds(clinic: Clinic, tmp_path: Path) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=61.0), question("q", "May I fly?"))
    clinic.drop(SECOND, observation("w", value=62.0))

    pmlm("records", "export-meds", tmp_path / "meds", "--drops", clinic.settings.drops)
    table = parquet.read_table(tmp_path / "meds" / "data" / "0.parquet")
    DataSchema.validate(table)
    frame = pl.DataFrame(pl.from_arrow(table))
    assert frame.filter(pl.col("code") == "LOINC//29463-7")["numeric_value"].to_list() == [62.0]
    assert "question" not in frame["kind"]
    assert json.loads((tmp_path / "meds" / "metadata" / "dataset.json").read_text())["dataset_name"] == "testing"


def test_a_meds_export_describes_every_code(clinic: Clinic, tmp_path: Path) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=61.0), observation("o", code="9-9", value=1.0), condition("c"))

    pmlm("records", "export-meds", tmp_path, "--drops", clinic.settings.drops)
    table = parquet.read_table(tmp_path / code_metadata_filepath)
    CodeMetadataSchema.validate(table)
    described = dict(zip(table["code"].to_pylist(), table["description"].to_pylist(), strict=True))
    events = parquet.read_table(tmp_path / "data" / "0.parquet")
    assert set(described) == set(events["code"].to_pylist())
    assert described["LOINC//29463-7"] == "weight"
    assert described[birth_code] == "birth"
    assert described["ICD10//O24.4"] == "Gestational diabetes"
    assert described["LOINC//9-9"] is None


def test_meds_reader_reads_the_export_back(clinic: Clinic, tmp_path: Path) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=61.0), condition("c"))

    pmlm("records", "export-meds", tmp_path / "meds", "--drops", clinic.settings.drops)
    meds_reader_convert = Path(sys.executable).with_name("meds_reader_convert")
    command = [meds_reader_convert, tmp_path / "meds", tmp_path / "read", "--num_threads", "1"]
    subprocess.run(command, check=True, capture_output=True)
    with meds_reader.SubjectDatabase(str(tmp_path / "read")) as database:
        (subject,) = database
        events = [(e.code, e.numeric_value) for e in database[subject].events]
    assert ("LOINC//29463-7", 61.0) in events
    assert birth_code in [code for code, _ in events]


@pytest.mark.usefixtures("with_data_docs")
def test_the_stage_takes_in_the_drop_of_its_night(clinic: Clinic) -> None:
    clinic.put(FIRST, "records.ndjson", [patient(), observation("w"), "broken"])

    summary = stage.run(clinic.settings, "20260601")
    assert (summary.status, summary.rows_in, summary.rows_out, summary.quarantined) == ("done", 3, 3, 1)
    assert stage.run(clinic.settings, "20260601").hashes == summary.hashes
    assert stage.run(clinic.settings, "20260602").status == "noop"
