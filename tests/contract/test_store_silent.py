"""A Redis that hangs, not stops: the labelled answer within the deadline, then at once; the whole one when it wakes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.features.online import materialise
from pmlm.settings import Settings
from tests.contract import three_women
from tests.contract.stub_llm import StubLLM
from tests.contract.three_women import ADA
from tests.unit.pipelines.features.servers import Server, redis

if TYPE_CHECKING:
    from conftest import ClientFactory
    from starlette.testclient import TestClient

TIRED = "Is it normal to feel this tired?"
DEADLINE_S = 4.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with redis() as running:
        yield running


@pytest.fixture(scope="module")
def remote(
    settings: Settings,
    server: Server,
    stub: StubLLM,
    client_of: ClientFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> TestClient:
    """The clinic with its features in Redis, behind a short deadline."""
    home = tmp_path_factory.mktemp("silent") / "state"
    shutil.copytree(settings.home, home, symlinks=True)
    moved = settings.model_copy(update={"home": home, "online_store": server.url})
    materialise.run(moved, three_women.NIGHT)
    return client_of(
        home=str(home), online_store=server.url, llm_base_url=stub.url, llm_model="stub", llm_timeout_s=str(DEADLINE_S)
    )


def ask(remote: TestClient, route: str) -> tuple[Any, float]:
    """The response of a route and the seconds it took."""
    chat = {"model": "any", "user": ADA, "messages": [{"role": "user", "content": TIRED}]}
    body = chat if route.startswith("/v1") else {"patient": ADA, "question": TIRED}
    started = time.monotonic()
    return remote.post(route, json=body), time.monotonic() - started


def degraded(response: Any, route: str) -> str | None:
    """What the answer says that it lacks."""
    return response.json()["pmlm"]["degraded"] if route.startswith("/v1") else response.json()["degraded"]


@pytest.mark.fault(
    "store",
    "Redis frozen (SIGSTOP) under an endpoint, then awake",
    "labelled answers from the pinned facts within the deadline; then whole ones",
)
@pytest.mark.parametrize("first", ["/answer", "/v1/chat/completions"])
def test_a_hung_redis_costs_one_request_its_share_and_no_other_anything(
    remote: TestClient, server: Server, first: str
) -> None:
    whole, _ = ask(remote, first)
    assert (whole.status_code, degraded(whole, first)) == (200, None)
    with server.frozen():
        response, seconds = ask(remote, first)
        assert (response.status_code, degraded(response, first)) == (200, "features")
        assert seconds < DEADLINE_S
        for route in ("/personalize", "/answer", "/v1/chat/completions"):
            response, seconds = ask(remote, route)
            assert (response.status_code, degraded(response, route)) == (200, "features")
            assert seconds < DEADLINE_S / 2
        assert remote.get("/readyz").json()["features"] == "unreadable"
    until = time.monotonic() + 10
    while remote.get("/readyz").json()["features"] != "readable" and time.monotonic() < until:
        time.sleep(0.1)
    back, _ = ask(remote, first)
    assert (back.status_code, degraded(back, first)) == (200, None)
