"""Records come from a Bulk Data export or a remote folder, whole, once, and after a kill too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from pipelines.fetch.bulk_export import BulkServer
from pipelines.fetch.smart_token import SmartToken
from pipelines.fetch.stage import TYPES, export_drop, fetch_records
from pmlm.errors import FetchError
from pmlm.settings import Settings
from tests.unit.pipelines.fetch.fhir_server import CLIENT, FhirServer, serve_exports

DAY = date(2026, 6, 1)
PATIENT = json.dumps({"resourceType": "Patient", "id": "a1", "gender": "female"}) + "\n"
DELETION = {"resourceType": "Bundle", "type": "transaction",
            "entry": [{"request": {"method": "DELETE", "url": "Patient/a2"}}]}  # fmt: skip
ISSUE = {"severity": "error", "code": "processing", "diagnostics": "Jane Doe could not be exported"}
OUTCOME = {"resourceType": "OperationOutcome", "issue": [ISSUE]}
FILES = {"Patient": PATIENT, "Observation": PATIENT.replace("Patient", "Observation"),
         "deleted-Bundle": json.dumps(DELETION), "error-OperationOutcome": json.dumps(OUTCOME)}  # fmt: skip


def make_key() -> dict[str, str]:
    """A private JWK for ES384."""
    made = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1())))
    return made | {"kid": "key-1", "alg": "ES384", "use": "sig"}


KEY = make_key()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    key = tmp_path / "client.jwk"
    key.write_text(json.dumps(KEY))
    return Settings(home=tmp_path / "home", drops=tmp_path / "clinic", source_client_id=CLIENT, source_key=key)


@pytest.fixture
def fhir() -> Iterator[FhirServer]:
    public = {name: value for name, value in KEY.items() if name != "d"}
    with serve_exports(dict(FILES), jwt.PyJWK(public)) as server:
        yield server


def export(settings: Settings, fhir: FhirServer, day: date = DAY, everything: bool = False, **fields: str):
    token = SmartToken(fhir.url, settings.source_client_id, settings.source_key)
    with httpx.Client() as http:
        server = BulkServer(http, fhir.url, fields.get("group"), token, sleep=lambda seconds: None)
        return export_drop(settings, server, day, everything)


def test_an_export_becomes_the_days_drop(settings: Settings, fhir: FhirServer) -> None:
    result = export(settings, fhir)
    assert result.drops == ["2026-06-01"]
    found = {path.name: path.read_text() for path in (settings.drops / "2026-06-01").iterdir()}
    assert found["Patient-0001.ndjson"] == PATIENT
    assert json.loads(found["deleted-Bundle-0001.ndjson"]) == DELETION
    assert result.errors == {"processing": 1}
    assert fhir.asked[-1] == "DELETE /r4/status"


def test_the_next_export_asks_for_what_changed_since_the_last(settings: Settings, fhir: FhirServer) -> None:
    export(settings, fhir)
    export(settings, fhir, date(2026, 6, 2))
    first, second = (httpx.URL(line.split()[1]).params for line in fhir.asked if "$export" in line)
    assert "_since" not in first
    assert second["_since"] == "2026-06-01T02:00:00Z"
    assert first["_type"].split(",") == list(TYPES)


def test_a_group_is_exported_by_its_own_address(settings: Settings, fhir: FhirServer) -> None:
    export(settings, fhir, group="clinic-1")
    assert any("/r4/Group/clinic-1/$export" in line for line in fhir.asked)


def test_a_second_fetch_of_a_day_adds_nothing(settings: Settings, fhir: FhirServer) -> None:
    export(settings, fhir)
    asked = len(fhir.asked)
    assert export(settings, fhir).drops == []
    assert len(fhir.asked) == asked


def test_nothing_new_makes_no_drop(settings: Settings, fhir: FhirServer) -> None:
    fhir.empty = True
    assert export(settings, fhir).drops == []
    assert list(settings.drops.iterdir()) == []


@pytest.mark.parametrize("trouble", [{"busy": 3}, {"broken_downloads": 2}, {"forgotten": 1}, {"polls": 7}])
def test_trouble_of_the_server_is_waited_for(settings: Settings, fhir: FhirServer, trouble: dict[str, int]) -> None:
    for name, value in trouble.items():
        setattr(fhir, name, value)
    assert export(settings, fhir).files == len(FILES)
    assert (settings.drops / "2026-06-01" / "Patient-0001.ndjson").read_text() == PATIENT


def test_a_killed_fetch_continues_the_same_export(settings: Settings, fhir: FhirServer) -> None:
    fhir.files["Observation"] = ""
    fhir.broken_downloads = 99
    with pytest.raises(FetchError, match="breaks off"):
        export(settings, fhir)
    assert not (settings.drops / "2026-06-01").exists()
    fhir.broken_downloads, fhir.polls = 0, 0
    assert export(settings, fhir).drops == ["2026-06-01"]
    assert sum("$export" in line for line in fhir.asked) == 1


def test_the_servers_error_texts_are_not_ingested(settings: Settings, fhir: FhirServer) -> None:
    from pipelines.records.read.resources import list_files

    export(settings, fhir)
    assert not [f for f in list_files(settings.drops / "2026-06-01") if "Jane Doe" in f.read_text()]


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_an_unreadable_key_is_one_line(settings: Settings, fhir: FhirServer, content: str | None) -> None:
    key = settings.source_key
    assert key is not None
    key.unlink() if content is None else key.write_text(content)
    with pytest.raises(FetchError, match="PMLM_SOURCE_KEY"):
        export(settings, fhir)


def test_a_folder_elsewhere_is_copied_once(settings: Settings, tmp_path: Path) -> None:
    remote = tmp_path / "bucket"
    for name in ("2026-06-01", "2026-06-02", "notes"):
        (remote / name / "inner").mkdir(parents=True)
        (remote / name / "inner" / "Patient.ndjson").write_text(PATIENT)
    there = settings.model_copy(update={"source": f"file://{remote}"})
    assert fetch_records(there, DAY).drops == ["2026-06-01", "2026-06-02"]
    assert (settings.drops / "2026-06-01" / "inner" / "Patient.ndjson").read_text() == PATIENT
    assert fetch_records(there, DAY).drops == []


@pytest.mark.parametrize("source", ["s3://bucket/clinic", "nowhere://x", "file:///does/not/exist"])
def test_a_place_that_cannot_be_read_is_one_line(settings: Settings, source: str) -> None:
    with pytest.raises(FetchError, match="PMLM_SOURCE"):
        fetch_records(settings.model_copy(update={"source": source}), DAY)
