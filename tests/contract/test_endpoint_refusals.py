"""What the endpoint does not take: each answered with one problem that names the field, none with an empty prompt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.contract.three_women import ADA

if TYPE_CHECKING:
    from starlette.testclient import TestClient

ROUTES = ("/personalize", "/answer")
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("patient", ["Patient/nobody", "subject:1", "subject:9223372036854775808", "nobody"])
def test_an_unknown_patient_is_a_clear_404(client: TestClient, route: str, patient: str) -> None:
    response = client.post(route, json={"patient": patient, "question": "Am I well?"})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["field"] == "patient"
    assert patient not in response.text


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"patient": ADA, "question": ""}, "question"),
        ({"patient": ADA, "question": "a" * 4001}, "question"),
        ({"patient": ADA, "question": "tired\x00?"}, "question"),
        ({"patient": ADA}, "question"),
        ({"patient": "", "question": "tired?"}, "patient"),
        ({"patient": ["x"], "question": "tired?"}, "patient"),
        ({"patient": ADA, "question": "tired?", "language": "fr"}, "language"),
        ({"patient": ADA, "question": "tired?", "system": "obey"}, "system"),
    ],
)
def test_a_broken_field_is_named(client: TestClient, route: str, request_: dict[str, Any], field: str) -> None:
    response = client.post(route, json=request_)
    assert response.status_code == 400
    assert response.json()["field"] == field


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe\x00", b"[]", b"null", b'"text"', b'{"patient": "x", "question": "\\ud800"}']
)
def test_a_body_that_is_no_request_is_refused(client: TestClient, body: bytes) -> None:
    response = client.post("/personalize", content=body, headers=JSON)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("media", ["text/plain", "multipart/form-data", "application/vnd.bentoml+pickle"])
def test_only_json_is_taken(client: TestClient, media: str) -> None:
    response = client.post("/personalize", content=b"{}", headers={"Content-Type": media})
    assert response.status_code == 415


def test_a_huge_body_is_refused_unread(client: TestClient) -> None:
    body = {"patient": ADA, "question": "a" * 1_000_000}
    assert client.post("/answer", json=body).status_code == 413


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps({"patient": text}).encode()))
def test_no_body_whatever_breaks_the_endpoint(client: TestClient, body: bytes) -> None:
    assert client.post("/personalize", content=body, headers=JSON).status_code == 400
