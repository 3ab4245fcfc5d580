"""Every error leaves in one shape, and only errors are touched."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from bentos.problems.problem_details import MAX_BODY, ProblemMiddleware


async def validation(_: Request) -> Response:
    detail = [{"loc": ["question"], "msg": "must not be empty", "type": "value_error"}]
    return JSONResponse({"error": "1 validation error", "detail": detail}, 400)


async def not_found(_: Request) -> Response:
    return JSONResponse([{"error": "no such patient"}], 404)


async def failed(_: Request) -> Response:
    return PlainTextResponse("Traceback: a secret", 500)


async def own_answer(_: Request) -> Response:
    return JSONResponse({"answer": "call now"}, 503)


async def echo(request: Request) -> Response:
    return Response(await request.body())


@pytest.fixture(scope="module")
def client() -> TestClient:
    routes = [Route(f"/{f.__name__}", f, methods=["POST"]) for f in (validation, not_found, failed, own_answer, echo)]
    return TestClient(ProblemMiddleware(Starlette(routes=routes)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [("/validation", 400, "question"), ("/not_found", 404, "patient"), ("/failed", 500, None), ("/nowhere", 404, None)],
)
def test_errors_of_every_shape_become_problems(client: TestClient, path: str, status: int, field: str | None) -> None:
    response = client.post(path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert response.json().get("field") == field
    assert "secret" not in response.text


def test_an_answer_that_carries_an_error_status_is_a_problem_and_still_the_answer(client: TestClient) -> None:
    response = client.post("/own_answer")
    assert response.headers["content-type"] == "application/problem+json"
    assert {"status": 503, "answer": "call now"}.items() <= response.json().items()


def test_a_body_up_to_the_limit_arrives_whole_and_one_byte_more_is_refused(client: TestClient) -> None:
    body = b"a" * MAX_BODY
    assert client.post("/echo", content=body).content == body
    assert client.post("/echo", content=body + b"a").status_code == 413
