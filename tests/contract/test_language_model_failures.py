"""Whatever a language model does, a patient with a warning sign is told what to do, and in time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from bentos.llm.llm_client import LLMClient
from bentos.personalizer import current
from bentos.personalizer.llm_answer import DISCLAIMERS, FAILED, WITHHELD
from tests.contract.stub_llm import StubLLM, stub_llm
from tests.contract.three_women import ADA

if TYPE_CHECKING:
    from conftest import ClientFactory
    from starlette.testclient import TestClient

DEADLINE = 1.0
BROKEN = ("hang", "drip", "garbage", "half", "error", "empty")
TIRED = "Is it normal to feel this tired?"
URGENT = "My blood pressure was 146/94 today, is that normal?"


@pytest.fixture(scope="module")
def served(client_of: ClientFactory, stub: StubLLM) -> tuple[TestClient, LLMClient]:
    """A service that has answered once: its first question loads the encoder, within the same deadline."""
    client = client_of(llm_base_url=stub.url, llm_timeout_s=str(DEADLINE), llm_model="stub")
    assert client.post("/personalize", json={"patient": ADA, "question": TIRED}).status_code == 200
    personalizer = current.newest()
    assert personalizer is not None
    return client, personalizer.llm


@pytest.fixture
def remote(served: tuple[TestClient, LLMClient]) -> TestClient:
    """The service with a closed breaker, whatever the model did before."""
    client, llm = served
    for upstream in llm._upstreams:
        upstream.breaker.record_success()
    return client


def ask(client: TestClient, question: str) -> tuple[int, dict[str, Any], float]:
    started = time.perf_counter()
    response = client.post("/answer", json={"patient": ADA, "question": question})
    return response.status_code, dict(response.json()), time.perf_counter() - started


def test_any_openai_compatible_model_gets_prompt_and_question_and_nothing_else(
    remote: TestClient, stub: StubLLM
) -> None:
    stub.behaviour, stub.text = "answer", "Rest, and drink enough."
    status, answer, _ = ask(remote, TIRED)
    assert (status, answer["answer"], answer["llm"]["embedded"]) == (200, stub.text, False)
    assert answer["disclaimer"] == DISCLAIMERS["en"]
    sent = stub.received[-1]
    assert [m["content"] for m in sent["messages"]] == [answer["prompt"], TIRED]
    assert ADA not in str(sent)


@pytest.mark.fault(
    "language model",
    "down, silent, dripping, garbage, half an answer, errors, empty",
    "reported plainly, in time, with the prompt",
)
@pytest.mark.parametrize("behaviour", BROKEN)
def test_a_broken_model_is_said_plainly_with_the_prompt_still_there(
    remote: TestClient, stub: StubLLM, behaviour: str
) -> None:
    stub.behaviour = behaviour
    status, answer, seconds = ask(remote, TIRED)
    assert status == 503
    assert answer["answer"] == FAILED["en"]
    assert answer["llm"]["error"]
    assert answer["prompt"]
    assert seconds < DEADLINE + 5


@pytest.mark.fault(
    "language model", "the same, for a message with a warning sign", "the escalation is returned, in time"
)
@pytest.mark.parametrize("behaviour", BROKEN)
def test_the_escalation_is_returned_whatever_the_model_does(remote: TestClient, stub: StubLLM, behaviour: str) -> None:
    stub.behaviour = behaviour
    status, answer, seconds = ask(remote, URGENT)
    assert status == 200
    assert answer["answer"].startswith(answer["escalation"])
    assert answer["llm"]["error"]
    assert seconds < DEADLINE + 5


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
def test_silence_is_reported_as_a_timeout(remote: TestClient, stub: StubLLM, behaviour: str) -> None:
    stub.behaviour = behaviour
    _, answer, seconds = ask(remote, TIRED)
    assert answer["llm"]["error"] == "timeout"
    assert seconds >= DEADLINE


@pytest.mark.fault("language model", "nothing listens", "reported plainly")
def test_a_closed_port_is_a_failure_too(client_of: ClientFactory) -> None:
    with stub_llm() as gone:
        url = gone.url
    status, answer, _ = ask(client_of(llm_base_url=url, llm_model="stub"), URGENT)
    assert status == 200
    assert answer["answer"] == f"{answer['escalation']}\n\n{FAILED['en']}"


@pytest.mark.fault("language model", "it lies: it suggests a drug of an allergy on record", "the answer is withheld")
def test_an_answer_that_suggests_a_drug_she_is_allergic_to_is_withheld(remote: TestClient, stub: StubLLM) -> None:
    stub.behaviour, stub.text = "answer", "You could take penicillin for that."
    status, answer, _ = ask(remote, TIRED)
    assert status == 200
    assert answer["answer"] == WITHHELD["en"]
    assert answer["llm"]["findings"]
    assert "You could take" not in str(answer)
