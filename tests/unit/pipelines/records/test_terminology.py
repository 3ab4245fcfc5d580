"""A terminology server is asked at night for codes of several patients; its failure changes nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from pipelines.records.terminology import read_translations, translate_drop
from pipelines.records.unmapped_codes import list_unmapped_codes
from tests.unit.pipelines.records.fhir import Clinic, condition, patient

FIRST = "2026-06-01"
OWN = "https://clinic.example/codes"


class Terminology(HTTPServer):
    """Knows one code; counts what it is asked; may be broken."""

    asked: list[str]
    broken = False


class _Handler(BaseHTTPRequestHandler):
    server: Terminology

    def do_GET(self) -> None:
        query = parse_qs(urlparse(self.path).query)
        code = query["code"][0]
        self.server.asked.append(code)
        coding = {"system": "http://snomed.info/sct", "code": "195967001"}
        relation = "equivalent" if code == "A1" else "narrower"
        match = [{"name": "equivalence", "valueCode": relation}, {"name": "concept", "valueCoding": coding}]
        body = json.dumps({"resourceType": "Parameters", "parameter": [{"name": "match", "part": match}]}).encode()
        self.send_response(503 if self.server.broken else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def terminology() -> Iterator[Terminology]:
    server = Terminology(("127.0.0.1", 0), _Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def _own(ident: str, who: str, code: str) -> dict[str, Any]:
    coding = {"system": OWN, "code": code, "display": "ours"}
    return condition(ident, code={"coding": [coding]}, subject={"reference": f"Patient/{who}"})


def _with(clinic: Clinic, server: Terminology) -> Clinic:
    url = f"http://127.0.0.1:{server.server_port}"
    return Clinic(clinic.settings.model_copy(update={"terminology_url": url}))


LINES = (
    patient(),
    patient("eva"),
    _own("a", "ana", "A1"),
    _own("b", "eva", "A1"),
    _own("c", "ana", "N1"),
    _own("d", "eva", "N1"),
    _own("e", "eva", "MRN-4711"),
)


def test_codes_of_several_patients_are_asked_for_once_and_read_from_then_on(
    clinic: Clinic, terminology: Terminology
) -> None:
    clinic = _with(clinic, terminology)
    clinic.drop(FIRST, *LINES)
    drop = clinic.settings.drops / FIRST
    assert translate_drop(clinic.settings, drop) == "1 of 2 new codes translated"
    assert sorted(terminology.asked) == ["A1", "N1"]
    assert translate_drop(clinic.settings, drop) == ""
    assert read_translations(clinic.settings) == {(OWN, "A1"): ("http://snomed.info/sct", "195967001")}
    clinic.drop("2026-06-02", _own("f", "ana", "A1"))
    assert "SNOMED//195967001" in clinic.events("condition")["code"].to_list()
    listed = {code.code: code.patients for code in list_unmapped_codes(clinic.settings)}
    assert listed["LOCAL//N1"] == 2


def test_a_server_that_fails_changes_nothing_and_is_said(clinic: Clinic, terminology: Terminology) -> None:
    terminology.broken = True
    clinic = _with(clinic, terminology)
    clinic.drop(FIRST, *LINES)
    said = translate_drop(clinic.settings, clinic.settings.drops / FIRST)
    assert said == "the terminology server did not answer (HTTPStatusError): 2 codes wait"
    assert read_translations(clinic.settings) == {}


def test_without_a_server_nobody_is_asked(clinic: Clinic) -> None:
    clinic.drop(FIRST, *LINES)
    assert translate_drop(clinic.settings, clinic.settings.drops / FIRST) == ""
