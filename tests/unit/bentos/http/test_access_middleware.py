"""The door: what passes with which token, what is refused how, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from bentos.auth import audit, keys
from bentos.http.access_middleware import AccessMiddleware
from bentos.problems.problem_details import ProblemMiddleware
from pmlm.settings import Settings
from tests.unit.bentos.auth.clinic_tokens import ISSUER, KeyServer, claims, clinic, signed

Caller = Callable[..., TestClient]
OPEN = ["/livez", "/readyz", "/healthz", "/openapi.json", "/cds-services", "/", "/page/app.js", "/ops"]
OPEN += ["/docs", "/docs/files/swagger-ui.css"]
CLOSED = [
    "/personalize",
    "/answer",
    "/feedback",
    "/explain/x",
    "/patients/x/timeline",
    "/v1/models",
    "/v1/chat/completions",
]
CLOSED += ["/cds-services/x", "/mcp", "/page/api/patients", "/ops/figures"]
HIDDEN = [
    "/docs.json",
    "/schema.json",
    "/redoc",
    "/static_content/index.css",
    "/assets/x",
    "/answer/submit",
    "/docs.html",
]


async def _who(request: Request) -> Response:
    """Answers whoever asks; a patient named in the query is resolved first, as every route does."""
    principal = getattr(request.state, "principal", None)
    if reference := request.query_params.get("patient"):
        principal.subject(request.app.state.settings, reference)
    return JSONResponse({"client": principal.client if principal else None})


async def _forbidden(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "no"}, 403)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return clinic(tmp_path, rate_limit="40/minute")


@pytest.fixture
def caller(settings: Settings) -> Caller:
    """A client of an app behind the door, showing a token made with these arguments, or none."""
    from pmlm.errors import ForeignPatientError

    app = Starlette(
        routes=[Route("/{path:path}", _who, methods=["GET", "POST"])],
        exception_handlers={ForeignPatientError: _forbidden},
    )
    app.state.settings = settings
    door = AccessMiddleware(ProblemMiddleware(app), settings)  # type: ignore[arg-type]

    def made(token: str | None = None, address: str = "10.0.0.9") -> TestClient:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return TestClient(door, headers=headers, client=(address, 5000))  # type: ignore[arg-type]

    return made


@pytest.fixture
def token(settings: Settings) -> Callable[..., str]:
    def made(*scopes: str, patients: list[int] | None = None, hours: float = 1) -> str:
        return keys.mint(settings, "app", scopes or ["system/Patient.rs"], patients, hours)

    return made


@pytest.mark.parametrize("path", OPEN)
def test_what_is_open_needs_no_token_and_tells_nobody_who_asks(caller: Caller, path: str) -> None:
    response = caller().get(path)
    assert (response.status_code, response.json()) == (200, {"client": None})


@pytest.mark.parametrize("path", CLOSED)
def test_everything_else_is_closed_without_a_token(caller: Caller, path: str) -> None:
    response = caller().post(path, json={})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="pmlm"'
    shape = "error" if path.startswith("/v1") else "detail"
    assert shape in response.json()


@pytest.mark.parametrize("path", [*OPEN, "/metrics"])
def test_open_for_reading_is_not_open_for_writing(caller: Caller, path: str) -> None:
    refused = caller().post(path, json={})
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", CLOSED)
def test_a_token_opens_the_routes_of_its_scope(caller: Caller, token: Callable[..., str], path: str) -> None:
    assert caller(token()).post(path, json={}).json() == {"client": "app"}


@pytest.mark.parametrize("path", [p for p in CLOSED if p != "/v1/models"])
def test_a_token_of_other_scopes_is_told_which_one_it_lacks(
    caller: Caller, token: Callable[..., str], path: str
) -> None:
    response = caller(token("system/Observation.rs", "openid")).post(path, json={})
    assert response.status_code == 403
    assert 'scope="system/Patient.r"' in response.headers["www-authenticate"]


@pytest.mark.parametrize("path", HIDDEN)
def test_what_no_rule_names_does_not_exist(caller: Caller, token: Callable[..., str], path: str) -> None:
    assert caller().get(path).status_code == 401
    assert caller(token()).get(path).status_code == 404


@pytest.mark.parametrize(
    ("address", "forwarded", "status"),
    [("127.0.0.1", None, 200), ("::1", None, 200), ("10.0.0.9", None, 403), ("127.0.0.1", "10.0.0.9", 403)],
)
def test_metrics_are_for_this_machine_alone(caller: Caller, address: str, forwarded: str | None, status: int) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert caller(address=address).get("/metrics", headers=headers).status_code == status


@pytest.mark.parametrize("shown", ["Basic YTpi", "Bearer", "Bearer ", "Token x", "Bearer x y", "Bearer \xff"])
def test_a_header_that_holds_no_token_is_answered_401(caller: Caller, shown: str) -> None:
    response = caller().post("/answer", json={}, headers={"Authorization": shown.encode("latin-1")})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_an_expired_token_is_said_to_be_so(caller: Caller, token: Callable[..., str]) -> None:
    response = caller(token(hours=-1)).post("/answer", json={})
    assert response.status_code == 401
    assert 'error="invalid_token", error_description="the token has expired"' in response.headers["www-authenticate"]


def test_an_identity_providers_token_opens_and_its_silence_is_said(tmp_path: Path, keys_at: KeyServer) -> None:
    trusting = clinic(tmp_path, token_jwks_url=keys_at.url, token_issuer=ISSUER)
    app = Starlette(routes=[Route("/{path:path}", _who, methods=["POST"])])
    door = TestClient(AccessMiddleware(ProblemMiddleware(app), trusting))  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {signed(claims(trusting, client_id='ehr'))}"}
    keys_at.broken = True
    down = door.post("/answer", json={}, headers=headers)
    assert (down.status_code, down.headers["retry-after"]) == (503, "10")
    keys_at.broken = False
    up = TestClient(AccessMiddleware(ProblemMiddleware(app), trusting))  # type: ignore[arg-type]
    assert up.post("/answer", json={}, headers=headers).json() == {"client": "ehr"}


def test_a_client_that_asks_too_often_is_told_when_to_come_back(caller: Caller, token: Callable[..., str]) -> None:
    client = caller(token())
    statuses = [client.post("/answer", json={}).status_code for _ in range(41)]
    assert statuses == [200] * 40 + [429]
    refused = client.post("/v1/chat/completions", json={})
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert int(refused.headers["retry-after"]) >= 1


def test_an_address_that_only_guesses_is_no_longer_listened_to_but_a_known_client_there_is(
    caller: Caller, token: Callable[..., str]
) -> None:
    known = caller(token())
    assert known.post("/answer", json={}).status_code == 200
    guesses = [caller(f"guess{i}").post("/answer", json={}).status_code for i in range(62)]
    assert guesses == [401] * 60 + [429] * 2
    assert known.post("/answer", json={}).status_code == 200


@pytest.mark.attack("access", "a flood of bad tokens from the address of good clients", "good tokens pass, seen or new")
def test_a_new_token_passes_where_others_guess(caller: Caller, token: Callable[..., str], settings: Settings) -> None:
    statuses = [caller(f"guess{i}").post("/answer", json={}).status_code for i in range(70)]
    assert statuses[-1] == 429
    assert caller(token()).post("/answer", json={}).status_code == 200
    assert caller(f"{token()}x").post("/answer", json={}).status_code == 429
    assert [a.outcome for a in audit.read(settings)] == [401] * 60  # what follows a block does not fill the disk


@pytest.mark.attack("access", "bad tokens, each with another X-Forwarded-For", "counted as one address")
def test_a_stranger_chooses_no_address(caller: Caller) -> None:
    guess = caller("guess")
    statuses = [
        guess.post("/answer", json={}, headers={"X-Forwarded-For": f"10.1.0.{i}"}).status_code for i in range(61)
    ]
    assert statuses == [401] * 60 + [429]


def test_clients_behind_a_trusted_proxy_are_told_apart(tmp_path: Path) -> None:
    trusting = clinic(tmp_path, trusted_proxies="10.0.0.0/8")
    door = AccessMiddleware(ProblemMiddleware(Starlette()), trusting)  # type: ignore[arg-type]
    proxy = TestClient(door, headers={"Authorization": "Bearer guess"}, client=("10.0.0.9", 5000))  # type: ignore[arg-type]

    def guess(hop: str) -> int:
        return proxy.post("/answer", json={}, headers={"X-Forwarded-For": f"1.2.3.4, {hop}"}).status_code

    statuses = {hop: [guess(hop) for _ in range(61)] for hop in ("192.0.2.1", "192.0.2.2")}
    assert list(statuses.values()) == [[401] * 60 + [429]] * 2


@pytest.mark.attack("access", "an unknown answer id or patient is asked for", "the refusal is in the audit record")
def test_what_does_not_exist_is_recorded_too(settings: Settings, token: Callable[..., str]) -> None:
    app = Starlette(routes=[Route("/explain/known", _who)])
    door = TestClient(AccessMiddleware(ProblemMiddleware(app), settings))  # type: ignore[arg-type]
    assert door.get("/explain/unknown", headers={"Authorization": f"Bearer {token()}"}).status_code == 404
    assert [(a.route, a.outcome) for a in audit.read(settings)] == [("/explain/{answer_id}", 404)]


@pytest.mark.attack("access", "a tool refuses within an answer of status 200", "the record has the tool's outcome")
def test_the_outcome_of_a_tool_is_its_own(settings: Settings, token: Callable[..., str]) -> None:
    async def tool(request: Request) -> Response:
        audit.note_outcome(403)
        return JSONResponse({"result": {"isError": True}})

    app = Starlette(routes=[Route("/mcp", tool, methods=["POST"])])
    door = TestClient(AccessMiddleware(ProblemMiddleware(app), settings))  # type: ignore[arg-type]
    assert door.post("/mcp", json={}, headers={"Authorization": f"Bearer {token()}"}).status_code == 200
    assert [(a.route, a.outcome) for a in audit.read(settings)] == [("/mcp", 403)]


def test_accesses_and_refusals_are_recorded_with_who_when_route_and_outcome(
    caller: Caller, token: Callable[..., str], settings: Settings
) -> None:
    ann, bea = settings.subject_id("ann"), settings.subject_id("bea")
    bound = caller(token(patients=[ann]))
    assert bound.post("/answer?patient=ann", json={}).status_code == 200
    assert bound.post("/answer?patient=bea", json={}).status_code == 403
    assert caller().post("/patients/ann/timeline", json={}).status_code == 401
    assert caller(token("openid")).post("/v1/chat/completions", json={}).status_code == 403
    assert [(a.route, a.outcome) for a in audit.read(settings)] == [
        ("/answer", 200),
        ("/answer", 403),
        ("/patients/{ref}/timeline", 401),
        ("/v1", 403),
    ]
    assert [a.outcome for a in audit.read(settings, ann, "app")] == [200]
    assert [a.outcome for a in audit.read(settings, bea, "app")] == [403]


def test_a_websocket_is_not_let_in(caller: Caller, token: Callable[..., str]) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), caller(token()).websocket_connect("/mcp"):
        pass
