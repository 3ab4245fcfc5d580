"""A feature store that cannot be read refuses a question soon and in words; when it is back, so is the answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from three_women import ADA

from pipelines.settings import Settings

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.mark.parametrize("route", ["/personalize", "/answer"])
def test_a_store_that_cannot_be_read_is_a_503_in_words(client: TestClient, settings: Settings, route: str) -> None:
    asked = {"patient": ADA, "question": "Is it normal to feel this tired?"}
    database = settings.feast / "online.db"
    whole = database.read_bytes()
    database.write_bytes(b"no database" * 1000)
    try:
        started = time.monotonic()
        response = client.post(route, json=asked)
        assert time.monotonic() - started < 5
    finally:
        database.write_bytes(whole)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert "cannot be read at the moment" in response.json()["detail"]
    assert client.post("/personalize", json=asked).status_code == 200
