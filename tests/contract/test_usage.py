"""Tokens and their cost are counted by release on every surface, and shown where an application asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from prometheus_client import REGISTRY

from tests.contract.openai_server import Gateway, serve
from tests.contract.stub_llm import StubLLM
from tests.contract.three_women import ADA

if TYPE_CHECKING:
    from conftest import ClientFactory

    from pmlm.settings import Settings

TIRED = "Is it normal to feel this tired?"
URGENT = "My blood pressure was 146/94 today, is that normal?"
BLEEDING = "I am bleeding heavily and soaking a pad an hour, is that normal?"
MODEL = "counted-stub"
PRICES = {MODEL: {"input": 1000.0, "output": 10000.0}}
USAGE = {"include_usage": True}


@pytest.fixture(scope="module")
def gateway(client_of: ClientFactory, settings: Settings, stub: StubLLM) -> Iterator[Gateway]:
    overrides = {"llm_base_url": stub.url, "llm_model": MODEL, "llm_prices": json.dumps(PRICES)}
    with serve(settings, **overrides) as running:
        yield running


@pytest.fixture
def client(gateway: Gateway, stub: StubLLM) -> openai.OpenAI:
    stub.behave("answer")
    return gateway.openai


def chat(client: openai.OpenAI, question: str = TIRED, **more: Any) -> Any:
    messages = [{"role": "user", "content": question}]
    return client.chat.completions.create(**{"model": "any", "user": ADA, "messages": messages, **more})


def chunks(client: openai.OpenAI, question: str = TIRED, **more: Any) -> list[Any]:
    return list(chat(client, question, stream=True, **more))


def count(name: str, **labels: str) -> float:
    """What is counted of our model, over all its releases."""
    found = [
        sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == f"pmlm_llm_{name}_total" and {"model": MODEL, **labels}.items() <= sample.labels.items()
    ]
    return sum(found)


def counts() -> tuple[float, float, float, float]:
    """Input, output, cost, answers without a count."""
    return count("tokens", kind="input"), count("tokens", kind="output"), round(count("cost"), 6), count("uncounted")


def post(gateway: Gateway, route: str) -> None:
    body = {"patient": ADA, "question": TIRED}
    assert httpx.post(f"{gateway.url}{route}", json=body, headers=gateway.headers, timeout=30).status_code == 200


ASKS: dict[str, Callable[[Gateway], object]] = {
    "chat": lambda gateway: chat(gateway.openai),
    "urgent chat": lambda gateway: chat(gateway.openai, URGENT),
    "stream": lambda gateway: chunks(gateway.openai),
    "urgent stream": lambda gateway: chunks(gateway.openai, URGENT),
    "response": lambda gateway: gateway.openai.responses.create(model="any", user=ADA, input=TIRED),
    "streamed response": lambda gateway: list(
        gateway.openai.responses.create(model="any", user=ADA, input=TIRED, stream=True)
    ),
    "/answer": lambda gateway: post(gateway, "/answer"),
    "page": lambda gateway: post(gateway, "/page/api/plain"),
}


@pytest.mark.parametrize("surface", ASKS)
def test_every_answer_is_counted_once_with_its_cost(gateway: Gateway, client: openai.OpenAI, surface: str) -> None:
    before = counts()
    ASKS[surface](gateway)
    after = counts()
    assert [round(b - a, 6) for a, b in zip(before, after, strict=True)] == [9, 5, 0.059, 0]


def test_counts_are_the_releases_and_no_patients(gateway: Gateway, client: openai.OpenAI) -> None:
    release = chat(client).pmlm["release"]
    named = {"release": release, "model": MODEL}
    assert (REGISTRY.get_sample_value("pmlm_llm_tokens_total", {**named, "kind": "input"}) or 0) >= 9
    assert (REGISTRY.get_sample_value("pmlm_llm_cost_total", named) or 0) > 0
    labels = {
        name for family in REGISTRY.collect() if family.name.startswith("pmlm_llm_")
        for sample in family.samples for name in sample.labels
    }  # fmt: skip
    assert labels <= {"release", "model", "kind", "error"}


def test_an_emergency_costs_nothing(gateway: Gateway, client: openai.OpenAI) -> None:
    before = counts()
    assert chat(client, BLEEDING).usage.total_tokens == 0
    assert [chunk.usage.total_tokens for chunk in chunks(client, BLEEDING, stream_options=USAGE) if chunk.usage] == [0]
    assert counts() == before


def test_an_answer_whose_tokens_are_not_counted_is_counted_itself(
    gateway: Gateway, client: openai.OpenAI, stub: StubLLM
) -> None:
    stub.behave("fields")
    stub.fields = {"message": {"content": "Rest."}, "completion": {"usage": None}}
    before = counts()
    assert chat(client).usage is None
    assert [b - a for a, b in zip(before, counts(), strict=True)] == [0, 0, 0, 1]


@pytest.mark.parametrize("question", [TIRED, URGENT, BLEEDING])
def test_usage_comes_in_a_last_chunk_without_choices_where_it_is_asked_for(
    client: openai.OpenAI, question: str
) -> None:
    *others, last = chunks(client, question, stream_options=USAGE)
    assert last.choices == []
    assert last.usage.prompt_tokens == (0 if question == BLEEDING else 9)
    assert all(chunk.choices and chunk.usage is None for chunk in others)
    assert all("usage" in chunk.model_fields_set for chunk in others)


@pytest.mark.parametrize("question", [TIRED, URGENT, BLEEDING])
@pytest.mark.parametrize("more", [{}, {"stream_options": {"include_usage": False}}])
def test_nobody_gets_usage_who_has_not_asked(
    client: openai.OpenAI, stub: StubLLM, question: str, more: dict[str, Any]
) -> None:
    given = chunks(client, question, **more)
    assert all(chunk.choices and "usage" not in chunk.model_fields_set for chunk in given)
    asked_for = [sent["stream_options"] for sent in stub.received if sent.get("stream")]
    assert all(options == USAGE for options in asked_for)  # for the count alone


def test_a_server_that_counts_no_stream_gets_no_invented_count(client: openai.OpenAI, stub: StubLLM) -> None:
    stub.behave("uncounted")
    before = counts()
    given = chunks(client, stream_options=USAGE)
    assert all(chunk.choices and chunk.usage is None for chunk in given)
    assert given[-1].choices[0].finish_reason == "stop"
    assert [b - a for a, b in zip(before, counts(), strict=True)] == [0, 0, 0, 1]


def test_a_server_that_refuses_to_count_streams_is_asked_without_and_remembered(
    client: openai.OpenAI, stub: StubLLM
) -> None:
    stub.behave("uncountable")
    asks: list[tuple[int, dict[str, Any]]] = [(2, {}), (1, {"stream_options": USAGE})]
    for asked, more in asks:
        stub.received.clear()
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks(client, **more)) == stub.text
        assert len(stub.received) == asked
        assert "stream_options" not in stub.received[-1]


def test_a_refusal_of_something_else_stays_one_and_nothing_is_remembered(
    gateway: Gateway, stub: StubLLM, client_of: ClientFactory
) -> None:
    own = client_of(llm_base_url=stub.url, llm_model=MODEL)
    body = {"user": ADA, "messages": [{"role": "user", "content": TIRED}], "stream": True}
    stub.behave("refuse")
    assert own.post("/v1/chat/completions", json=body).status_code == 400
    stub.behave("answer")
    assert own.post("/v1/chat/completions", json=body).text.endswith("data: [DONE]\n\n")
    assert [sent["stream_options"] for sent in stub.received] == [USAGE]
