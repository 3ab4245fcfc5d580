"""One set of language models for every surface: a fallback answers where the first is down, and breakers are shared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from bentos.llm.breaker import FAILURES
from bentos.personalizer.llm_answer import FAILED
from pmlm.console.ask import ask_question
from tests.contract.stub_llm import StubLLM, stub_llm
from tests.contract.three_women import ADA

if TYPE_CHECKING:
    from conftest import ClientFactory
    from starlette.testclient import TestClient

    from pmlm.settings import Settings

DEADLINE = 4.0
TIRED = "Is it normal to feel this tired?"
FROM_SECOND = "From the second."


@pytest.fixture(scope="module")
def first() -> Iterator[StubLLM]:
    with stub_llm() as running:
        yield running


@pytest.fixture(scope="module")
def second() -> Iterator[StubLLM]:
    with stub_llm() as running:
        yield running


@pytest.fixture
def remote(client_of: ClientFactory, first: StubLLM, second: StubLLM) -> TestClient:
    """A service of its own, whose breakers are closed; the first model fails, the second answers."""
    first.behave("error")
    second.behave("answer", FROM_SECOND)
    service = client_of(
        llm_base_url=first.url, llm_model="first", llm_fallbacks=fallbacks(second), llm_timeout_s=str(DEADLINE)
    )
    service.post("/personalize", json={"patient": ADA, "question": TIRED})  # loads the encoder
    return service


def fallbacks(model: StubLLM) -> str:
    return json.dumps([{"base_url": model.url, "model": "second"}])


def ask(client: TestClient, route: str = "/answer") -> dict[str, Any]:
    return dict(client.post(route, json={"patient": ADA, "question": TIRED}).json())


@pytest.mark.parametrize("behaviour", ["error", "hang", "throttle"])
@pytest.mark.parametrize("route", ["/answer", "/page/api/plain"])
def test_the_endpoint_and_the_page_answer_from_the_fallback(
    remote: TestClient, first: StubLLM, route: str, behaviour: str
) -> None:
    first.behave(behaviour)
    answer = ask(remote, route)
    assert answer["answer"] == FROM_SECOND
    assert (answer["llm"]["model"], answer["llm"]["error"], answer["llm"]["embedded"]) == ("second", None, False)
    assert len(first.received) == 1


def test_a_closed_port_is_no_reason_to_give_up(client_of: ClientFactory, second: StubLLM) -> None:
    second.behave("answer", FROM_SECOND)
    with stub_llm() as gone:
        url = gone.url
    answer = ask(client_of(llm_base_url=url, llm_model="first", llm_fallbacks=fallbacks(second)))
    assert (answer["answer"], answer["llm"]["model"]) == (FROM_SECOND, "second")


def test_pmlm_ask_answers_from_the_fallback_without_an_endpoint(
    settings: Settings, first: StubLLM, second: StubLLM
) -> None:
    first.behave("error")
    second.behave("answer", FROM_SECOND)
    own = type(settings)(
        **settings.model_dump(exclude={"llm_base_url", "llm_model", "llm_fallbacks"}),
        llm_base_url=first.url,
        llm_model="first",
        llm_fallbacks=json.loads(fallbacks(second)),
    )
    answer = ask_question(own, ADA, TIRED).response
    assert (answer["answer"], answer["llm"]["model"]) == (FROM_SECOND, "second")


def test_a_breaker_that_chats_have_opened_is_respected_by_answers(
    remote: TestClient, first: StubLLM, second: StubLLM
) -> None:
    chat = {"model": "any", "user": ADA, "messages": [{"role": "user", "content": TIRED}]}
    for _ in range(FAILURES):
        assert remote.post("/v1/chat/completions", json=chat).json()["model"] == "second"
    first.behave("answer")
    assert ask(remote)["answer"] == FROM_SECOND
    assert ask(remote, "/page/api/plain")["answer"] == FROM_SECOND
    assert first.received == []
    second.behave("error")
    for _ in range(FAILURES):
        remote.post("/v1/chat/completions", json=chat)
    second.behave("answer")
    answer = ask(remote)
    assert (answer["answer"], answer["llm"]["error"]) == (FAILED["en"], "resting")
    assert (first.received, second.received) == ([], [])
