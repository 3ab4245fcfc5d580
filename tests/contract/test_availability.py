"""The endpoint answers health checks and other requests whatever one client does."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import httpx
import pytest

from bentos.http import header_timeout
from bentos.problems import problem_details
from pmlm.settings import Settings
from tests.contract.openai_server import Gateway, serve
from tests.contract.stub_llm import StubLLM
from tests.contract.three_women import ADA

if TYPE_CHECKING:
    from conftest import ClientFactory

TIRED = "Is it normal to feel this tired?"
#: How long a health check may take beside anything else; it was a minute.
LAG_S = 10.0


@pytest.fixture(scope="module")
def gateway(client_of: ClientFactory, settings: Settings, stub: StubLLM) -> Iterator[Gateway]:
    with serve(
        settings, llm_base_url=stub.url, llm_model="stub", llm_timeout_s="20", llm_context_tokens="8192"
    ) as running:
        post(running, "/answer", {"patient": ADA, "question": TIRED})  # loads what the first question loads
        yield running


def post(gateway: Gateway, path: str, body: object) -> httpx.Response:
    return httpx.post(f"{gateway.url}{path}", json=body, headers=gateway.headers, timeout=120, trust_env=False)


class HealthWatch:
    """Asks ``/livez`` and ``/readyz`` again and again; ``slowest`` is the longest answer."""

    def __init__(self, gateway: Gateway) -> None:
        self.slowest = 0.0
        self._gateway = gateway
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> HealthWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._gateway.url, timeout=120, trust_env=False) as client:
            while not self._ended.wait(0.05):
                for path in ("/livez", "/readyz"):
                    started = time.monotonic()
                    assert client.get(path).status_code == 200
                    self.slowest = max(self.slowest, time.monotonic() - started)


@pytest.mark.attack(
    "event loop", "60 measurements of effects at once", "health checks answer; most are refused with 503"
)
def test_effects_do_not_hold_up_health_checks(gateway: Gateway) -> None:
    body = {"patient": ADA, "question": TIRED, "reply": "Rest when you can."}
    with HealthWatch(gateway) as health, ThreadPoolExecutor(60) as clients:
        calls = [clients.submit(post, gateway, "/page/api/effects", body) for _ in range(60)]
        wait(calls)
    statuses = [call.result().status_code for call in calls]
    assert set(statuses) <= {200, 503}
    assert 200 in statuses
    assert all(call.result().headers["retry-after"] for call in calls if call.result().status_code == 503)
    assert health.slowest < LAG_S


#: What a pattern or a tokenizer may take long for.
RUNS = ("a", "我的孩子", "[{(")
MEGABYTE = 1_000_000


def bodies(text: str) -> Iterator[tuple[str, object]]:
    """Every text path with as much of it as its limit lets in, or more."""
    ask = {"role": "user", "content": TIRED}
    for role in ("system", "tool", "assistant", "user"):
        yield "/v1/chat/completions", {"user": ADA, "messages": [{"role": role, "content": text}, ask]}
    yield (
        "/v1/chat/completions",
        {"user": ADA, "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]},
    )
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": text}}
    yield "/v1/chat/completions", {"user": ADA, "messages": [{"role": "assistant", "tool_calls": [call]}, ask]}
    yield "/v1/chat/completions", {"user": text, "messages": [ask]}
    yield "/v1/chat/completions", {"user": ADA, "model": text, "messages": [ask]}
    for question in (text, text[:4000]):
        yield "/answer", {"patient": ADA, "question": question}
    yield "/answer", {"patient": text, "question": TIRED}
    yield "/feedback", {"answer_id": "x", "comment": text[:20_000]}
    order = {"resourceType": "MedicationRequest", "id": "1", "medicationCodeableConcept": {"text": text[:200_000]}}
    context = {
        "userId": "Practitioner/x",
        "patientId": ADA,
        "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": order}]},
    }
    hook = {"hook": "order-sign", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": context}
    yield "/cds-services/pmlm-orders", hook
    tool = {"name": "personalize", "arguments": {"patient": ADA, "question": text[:200_000]}}
    yield "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": tool}


@pytest.mark.attack(
    "event loop", "1 MB of repeated text on every path that takes text", "health checks answer meanwhile"
)
@pytest.mark.parametrize("run", RUNS)
def test_no_text_stops_the_event_loop(gateway: Gateway, stub: StubLLM, run: str) -> None:
    text = (run * MEGABYTE)[:MEGABYTE]
    stub.behave("answer", text[:200_000])
    with HealthWatch(gateway) as health:
        for path, body in bodies(text):
            assert post(gateway, path, body).status_code < 505
    assert health.slowest < LAG_S


@pytest.mark.attack("event loop", "headers that never end", "the connection is closed")
@pytest.mark.parametrize("sent", [b"", b"POST /answer HTTP/1.1\r\nHost: x\r\n"])
def test_headers_that_never_end_close_the_connection(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(header_timeout, "HEADERS_S", 0.3)
    with _connect(gateway) as connection:
        connection.sendall(sent)
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
        assert connection.recv(100) in (b"", b"content-length: 0")


@pytest.mark.attack("event loop", "a body that drips", "408 after a limit")
def test_a_body_that_drips_is_refused(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem_details, "BODY_S", 0.3)
    head = f"POST /answer HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.headers['Authorization']}\r\n"
    body = json.dumps({"patient": ADA, "question": TIRED}).encode()
    with _connect(gateway) as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        connection.sendall(body[:10])
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def _connect(gateway: Gateway) -> socket.socket:
    url = httpx.URL(gateway.url)
    return socket.create_connection((url.host, url.port or 80), timeout=30)
