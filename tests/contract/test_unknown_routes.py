"""Below ``/v1`` every refusal has OpenAI's shape, whichever layer of the service makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient

KEYS = {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/files/Patient-123"),
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("PUT", "/v1/nothing/like/it"),
        ("POST", "/v1/chat/completions/"),
        ("GET", "/v1"),
        ("GET", "/v1/"),
    ],
)
def test_an_unknown_path_is_not_found_and_not_repeated(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path, follow_redirects=False)
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error.keys() == KEYS
    assert (error["type"], error["param"]) == ("invalid_request_error", None)
    assert "Patient-123" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("GET", "/v1/responses", "POST"),
        ("DELETE", "/v1/responses", "POST"),
        ("POST", "/v1/models", "GET"),
        ("PUT", "/v1/models/any", "GET"),
    ],
)
def test_another_method_is_refused_and_the_right_one_named(
    client: TestClient, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    error = answer.json()["error"]
    assert error.keys() == KEYS
    assert (error["type"], error["code"]) == ("invalid_request_error", "method_not_supported")


def test_a_body_of_another_kind_and_a_missing_token_are_refused_in_the_same_shape(client: TestClient) -> None:
    text = client.post("/v1/nothing", content="x", headers={"content-type": "text/plain"})
    assert (text.status_code, text.json()["error"].keys()) == (415, KEYS)
    nobody = client.get("/v1/nothing", headers={"authorization": ""})
    assert (nobody.status_code, nobody.json()["error"]["type"]) == (401, "authentication_error")
