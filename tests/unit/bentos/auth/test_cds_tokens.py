"""A CDS client's JWT exactly as CDS Hooks 2.0 has it: what opens the CDS services, and that it opens nothing else."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from bentos.auth import keys
from bentos.auth.cds_tokens import CdsVerifier
from bentos.auth.counting import used_tokens
from bentos.auth.counting.shared_counts import SharedCounts
from bentos.auth.counting.used_tokens import UsedTokens
from bentos.http.access_middleware import AccessMiddleware
from bentos.problems.problem_details import ProblemMiddleware
from pmlm.errors import SettingsError
from tests.unit.bentos.auth.clinic_tokens import EC, RSA, KeyServer, clinic, signed
from tests.unit.pipelines.features.servers import redis

EHR, URL = "https://fhir-ehr.example.com/", "https://pmlm.example.org"
VIEW = "/cds-services/pmlm-patient-view"
Post = Callable[..., int]


def _claims(**others: Any) -> dict[str, Any]:
    """The specification's example: iss, aud, exp, iat, jti, and no scope."""
    now = int(time.time())
    usual = {"iss": EHR, "aud": URL + VIEW, "exp": now + 300, "iat": now, "jti": str(uuid.uuid4())}
    return {k: v for k, v in (usual | others).items() if v is not None}


async def _who(request: Request) -> Response:
    principal = request.state.principal
    return JSONResponse({"client": principal.client, "patients": principal.patients})


@pytest.fixture
def post(tmp_path: Path, keys_at: KeyServer) -> Iterator[Post]:
    """``post(token, path)`` → the status that a clinic answers which trusts the EHR."""
    settings = clinic(tmp_path, cds_issuers={EHR: keys_at.url}, cds_url=URL + "/")
    app = Starlette(routes=[Route("/{path:path}", _who, methods=["POST"])])
    with TestClient(AccessMiddleware(ProblemMiddleware(app), settings)) as door:  # type: ignore[arg-type]

        def asked(token: str, path: str = VIEW) -> int:
            return door.post(path, json={}, headers={"Authorization": f"Bearer {token}"}).status_code

        yield asked


@pytest.mark.parametrize("path", [VIEW, f"{VIEW}/feedback"])
def test_the_specifications_token_opens_the_service_it_is_for(post: Post, keys_at: KeyServer, path: str) -> None:
    assert post(signed(_claims(), EC, "ES256", jku=keys_at.url, typ="JWT"), path) == 200
    assert post(signed(_claims(aud=[URL + path]), RSA, "RS384"), path) == 200


@pytest.mark.parametrize("path", ["/personalize", "/answer", "/v1/chat/completions", "/mcp", "/explain/x"])
def test_it_opens_no_other_route(post: Post, path: str) -> None:
    assert post(signed(_claims(aud=URL + path)), path) == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": f"{URL}/cds-services/pmlm-orders"},
        {"aud": f"https://elsewhere.example{VIEW}"},
        {"iss": "https://stranger.example"},
        {"exp": 1},
        {"exp": int(time.time()) + 86_400},
        {"exp": None},
        {"iat": None},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"aud": None},
        {"iss": None},
    ],
)
def test_a_token_that_says_another_thing_is_refused(post: Post, changed: dict[str, Any]) -> None:
    assert post(signed(_claims(**changed))) == 401


@pytest.mark.parametrize("path", [VIEW, f"{VIEW}/feedback"])
def test_a_token_counts_once_and_is_told_why(tmp_path: Path, keys_at: KeyServer, path: str) -> None:
    settings = clinic(tmp_path, cds_issuers={EHR: keys_at.url}, cds_url=URL)
    app = Starlette(routes=[Route("/{path:path}", _who, methods=["POST"])])
    with TestClient(AccessMiddleware(ProblemMiddleware(app), settings)) as door:  # type: ignore[arg-type]

        def show(token: str) -> httpx.Response:
            return door.post(path, json={}, headers={"Authorization": f"Bearer {token}"})

        content = _claims()
        first, again = show(signed(content)), show(signed(content))
        assert (first.status_code, again.status_code) == (200, 401)
        assert "used before" in again.json()["detail"]
        assert 'error="invalid_token"' in again.headers["www-authenticate"]
        assert show(signed(content | {"exp": content["exp"] - 1})).status_code == 401  # the same name on another token
        assert show(signed(_claims())).status_code == 200
        bearer = keys.mint(settings, "app", ["system/Patient.rs"], None, 1)
        assert [show(bearer).status_code for _ in range(3)] == [200] * 3  # these are shown again by design


def test_what_has_expired_is_forgotten_and_what_is_too_much_goes_first_to_expire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(used_tokens, "CAPACITY", 3)
    used, now = UsedTokens(), time.time()

    def first(name: str, left: float, issuer: str = EHR) -> bool:
        return asyncio.run(used.first_use(issuer, name, now + left))

    assert first("gone", -1)
    assert first("gone", 60)
    assert first("soon", 10)
    assert first("gone", 60, "https://another.example")  # each issuer names its own
    assert not first("gone", 60)
    assert first("one more", 60)
    assert not first("gone", 60)
    assert len(used._seen) <= 3


@pytest.mark.attack("access", "a CDS token is used again after a restart, or at another worker", "refused")
def test_a_use_survives_a_restart_and_is_known_to_every_worker(tmp_path: Path) -> None:
    settings, until = clinic(tmp_path), time.time() + 60
    before, after = UsedTokens(settings=settings), UsedTokens(settings=settings)
    assert asyncio.run(before.first_use(EHR, "a", until))
    assert not asyncio.run(after.first_use(EHR, "a", until))
    assert asyncio.run(after.first_use(EHR, "b", until))
    assert not asyncio.run(before.first_use(EHR, "b", until))
    (path,) = settings.workspace.glob("used-tokens.db")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_disk_that_does_not_take_it_refuses_nobody(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    (settings.workspace / "used-tokens.db").mkdir(parents=True)
    used = UsedTokens(settings=settings)
    assert asyncio.run(used.first_use(EHR, "a", time.time() + 60))
    assert not asyncio.run(used.first_use(EHR, "a", time.time() + 60))


def test_workers_with_a_redis_know_each_others_and_without_it_their_own(tmp_path: Path) -> None:
    with redis() as server:
        settings = clinic(tmp_path, online_store=server.url)
        one, other = UsedTokens(SharedCounts.of(settings)), UsedTokens(SharedCounts.of(settings))

        async def shown() -> list[bool]:
            until = time.time() + 60
            seen = [await worker.first_use(EHR, "a", until) for worker in (one, other, one)]
            with server.frozen():
                seen += [await worker.first_use(EHR, name, until) for worker, name in ((one, "a"), (one, "b"))]
                seen.append(await one.first_use(EHR, "b", until))
            return seen

        assert asyncio.run(shown()) == [True, False, False, False, True, False]


def test_no_token_chooses_its_own_keys(post: Post) -> None:
    assert post(signed(_claims(), jku="https://attacker.example/jwks")) == 401
    assert post(signed(_claims(), EC, "ES256", kid="rsa")) == 401
    assert post(signed(_claims(), "secret" * 8, "HS256", kid="hmac")) == 401
    assert post(signed(_claims(), kid="nobodys")) == 401


def test_keys_that_cannot_be_had_are_a_503(post: Post, keys_at: KeyServer) -> None:
    keys_at.broken = True
    assert post(signed(_claims())) == 503


def test_an_issuer_without_our_own_address_is_no_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PMLM_CDS_URL"):
        CdsVerifier(clinic(tmp_path, cds_issuers={EHR: "https://ehr.example/jwks"}))
