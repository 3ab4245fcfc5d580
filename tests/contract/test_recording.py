"""Stores that fail: safety messages are sent all the same and say so, everything else is refused at once."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from pmlm.settings import Settings
from tests.contract.stub_llm import StubLLM, stub_llm
from tests.contract.test_cds_hooks import ORDERS, VIEW, asked, order
from tests.contract.three_women import ADA

if TYPE_CHECKING:
    from conftest import ClientFactory
    from starlette.testclient import TestClient

TIRED = "Is it normal to feel this tired?"
EMERGENCY = "I have crushing chest pain and I can not breathe."
#: Far below the ten seconds that a locked database was waited for; a busy machine needs some of it.
PROMPT_S = 4.0


@pytest.fixture(scope="module")
def upstream() -> Iterator[StubLLM]:
    with stub_llm() as running:
        yield running


@pytest.fixture(scope="module")
def served(client_of: ClientFactory, upstream: StubLLM) -> TestClient:
    service = client_of(llm_base_url=upstream.url, llm_model="stub")
    for route in ("/personalize", "/answer"):  # loads what the first question loads
        assert service.post(route, json={"patient": ADA, "question": TIRED}).status_code == 200
    return service


@contextmanager
def replaced(path: Path, replace: Callable[[Path], object]) -> Iterator[None]:
    """Something else in the place of a file or folder, until the block ends."""
    original = path.with_name(f".{path.name}.original")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.rename(original)
    replace(path)
    try:
        yield
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        if original.exists():
            original.rename(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection has the database for itself."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def interactions(settings: Settings) -> Path:
    return settings.workspace / "interactions" / f"{datetime.now(UTC):%Y%m%d}.jsonl"


FAULTS: dict[str, Callable[[Settings], Any]] = {
    "explanations.db locked": lambda s: locked(s.workspace / "explanations.db"),
    "interactions full": lambda s: replaced(interactions(s), lambda path: path.symlink_to("/dev/full")),
    "interactions a pipe": lambda s: replaced(interactions(s), os.mkfifo),
    "interactions a folder": lambda s: replaced(interactions(s), lambda path: path.mkdir()),
    "audit folder a file": lambda s: replaced(s.workspace / "audit", lambda path: path.touch()),
    "audit file a pipe": lambda s: replaced(s.workspace / "audit" / f"{datetime.now(UTC):%Y%m}.jsonl", os.mkfifo),
}


@pytest.fixture(params=list(FAULTS))
def broken(served: TestClient, settings: Settings, request: pytest.FixtureRequest) -> Iterator[TestClient]:
    with FAULTS[request.param](settings):
        yield served


def chat(question: str, *, stream: bool) -> dict[str, Any]:
    return {"model": "any", "user": ADA, "messages": [{"role": "user", "content": question}], "stream": stream}


def tool(question: str) -> dict[str, Any]:
    arguments = {"name": "personalize", "arguments": {"patient": ADA, "question": question}}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": arguments}


SURFACES: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "personalize": ("/personalize", lambda question: {"patient": ADA, "question": question}),
    "answer": ("/answer", lambda question: {"patient": ADA, "question": question}),
    "chat": ("/v1/chat/completions", lambda question: chat(question, stream=False)),
    "streamed chat": ("/v1/chat/completions", lambda question: chat(question, stream=True)),
    "response": ("/v1/responses", lambda question: {"user": ADA, "input": question}),
    "streamed response": ("/v1/responses", lambda question: {"user": ADA, "input": question, "stream": True}),
}


def timed(client: TestClient, path: str, body: dict[str, Any]) -> httpx.Response:
    started = time.monotonic()
    response: httpx.Response = client.post(path, json=body)
    assert time.monotonic() - started < PROMPT_S
    return response


@pytest.mark.attack(
    "safety messages", "an emergency while a store is locked, full, blocked or away", "sent, with degraded: record"
)
@pytest.mark.parametrize("surface", list(SURFACES))
def test_an_escalation_is_sent_whatever_cannot_be_recorded(broken: TestClient, surface: str) -> None:
    path, make = SURFACES[surface]
    response = timed(broken, path, make(EMERGENCY))
    assert response.status_code == 200
    assert "emergency number" in response.text
    assert response.headers["x-pmlm-degraded"] == "record"


@pytest.mark.attack("safety messages", "an ordinary question while a store fails", "503 with Retry-After at once")
@pytest.mark.parametrize("surface", list(SURFACES))
def test_any_other_answer_that_cannot_be_recorded_is_refused_at_once(broken: TestClient, surface: str) -> None:
    path, make = SURFACES[surface]
    response = timed(broken, path, make(TIRED))
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "cannot be recorded" in response.text


@pytest.mark.attack("safety messages", "a critical card while a store fails", "shown, with degraded: record")
@pytest.mark.parametrize("path", [VIEW, ORDERS])
def test_a_critical_card_is_shown_whatever_cannot_be_recorded(broken: TestClient, path: str) -> None:
    drafts = {"draftOrders": order("Amoxicillin 500 MG Oral Capsule")}
    request = asked(ADA) if path == VIEW else asked(ADA, "order-sign", **drafts)
    response = timed(broken, path, request)
    assert response.status_code == 200
    assert response.json()["cards"][0]["indicator"] in ("warning", "critical")
    assert response.headers["x-pmlm-degraded"] == "record"


def test_feedback_that_cannot_be_recorded_is_refused_at_once(served: TestClient, settings: Settings) -> None:
    answered = served.post("/personalize", json={"patient": ADA, "question": TIRED}).json()
    path = settings.workspace / "feedback" / f"{datetime.now(UTC):%Y%m%d}.jsonl"
    with replaced(path, os.mkfifo):
        response = timed(served, "/feedback", {"answer_id": answered["id"], "rating": 4})
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


def test_explanations_that_cannot_be_read_are_refused_at_once(served: TestClient, settings: Settings) -> None:
    answered = served.post("/personalize", json={"patient": ADA, "question": TIRED}).json()
    with replaced(settings.workspace / "explanations.db", os.mkfifo):
        assert served.get(f"/explain/{answered['id']}").status_code == 200  # its connection is open


def test_what_was_sent_unrecorded_is_recorded_once_the_store_answers(served: TestClient, settings: Settings) -> None:
    with locked(settings.workspace / "explanations.db"):
        sent = served.post("/answer", json={"patient": ADA, "question": EMERGENCY}).json()
        assert sent["degraded"] == "record"
    served.post("/personalize", json={"patient": ADA, "question": TIRED})
    explained = served.get(f"/explain/{sent['id']}")
    assert explained.status_code == 200
    assert explained.json()["red_flags"]
