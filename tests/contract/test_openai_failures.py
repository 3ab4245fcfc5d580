"""Whatever a language model, a network or a client does: in time, and never half as if it were whole."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from bentos.llm.breaker import FAILURES
from bentos.openai import app as mounted
from bentos.openai import gateway as gateway_module
from bentos.personalizer.llm_answer import FAILED, LONGEST_TEXT
from tests.contract.openai_server import Gateway, serve
from tests.contract.stub_llm import StubLLM, stub_llm
from tests.contract.three_women import ADA

if TYPE_CHECKING:
    from conftest import ClientFactory

    from pmlm.settings import Settings

DEADLINE = 1.0
TIRED = "Is it normal to feel this tired?"
URGENT = "My blood pressure was 146/94 today, is that normal?"
#: Behaviour → what the application is told of it, when it asks for a whole answer.
BROKEN = {"hang": 504, "drip": 504, "garbage": 502, "half": 502, "unended": 502, "error": 502, "empty": 502}
NEVER_WHOLE = ("half", "unended", "stall", "garbage", "drip", "empty")


@pytest.fixture(scope="module")
def second() -> Iterator[StubLLM]:
    with stub_llm() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(client_of: ClientFactory, settings: Settings, stub: StubLLM, second: StubLLM) -> Iterator[Gateway]:
    """The service with two language models, the second to be asked where the first cannot answer."""
    fallbacks = json.dumps([{"base_url": second.url, "model": "second"}])
    with serve(
        settings,
        llm_base_url=stub.url,
        llm_model="first",
        llm_timeout_s=str(DEADLINE),
        llm_fallbacks=fallbacks,
        queue="4",
    ) as running:
        yield running


@pytest.fixture
def client(gateway: Gateway, stub: StubLLM, second: StubLLM) -> openai.OpenAI:
    """Both models answer; neither is remembered as failing."""
    stub.behave("answer")
    second.behave("answer", "From the second.")
    for served in mounted._gateways.values():
        for upstream in served._llm._upstreams:
            upstream.breaker.record_success()
    return gateway.openai


def ask(client: openai.OpenAI, question: str = TIRED, **more: Any) -> Any:
    messages = [{"role": "user", "content": question}]
    return client.chat.completions.create(model="any", user=ADA, messages=messages, **more)


def lines(gateway: Gateway, question: str = TIRED) -> list[str]:
    """The raw lines of a stream."""
    body = {"model": "any", "user": ADA, "messages": [{"role": "user", "content": question}], "stream": True}
    url = f"{gateway.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=gateway.headers, timeout=20) as answer:
        return [line for line in answer.iter_lines() if line]


@pytest.mark.parametrize(("behaviour", "status"), BROKEN.items())
def test_a_broken_model_is_an_error_in_time(
    client: openai.OpenAI, stub: StubLLM, second: StubLLM, behaviour: str, status: int
) -> None:
    stub.behave(behaviour)
    second.behave(behaviour)
    started = time.perf_counter()
    with pytest.raises(openai.APIStatusError) as failed:
        ask(client)
    assert failed.value.status_code == status
    assert failed.value.body["type"] == "server_error"  # type: ignore[index]
    assert time.perf_counter() - started < DEADLINE + 5


@pytest.mark.parametrize("behaviour", NEVER_WHOLE)
def test_a_broken_stream_never_looks_whole(
    gateway: Gateway, client: openai.OpenAI, stub: StubLLM, second: StubLLM, behaviour: str
) -> None:
    stub.behave(behaviour, "Rest when you can. Drink enough.")
    second.behave(behaviour, "Rest when you can. Drink enough.")
    started = time.perf_counter()
    events = lines(gateway)
    assert time.perf_counter() - started < DEADLINE + 5
    assert "[DONE]" not in "".join(events)
    assert '"finish_reason":"' not in "".join(events)
    assert json.loads(events[-1].removeprefix("data: "))["error"]["message"]
    with pytest.raises(openai.APIError):
        for _ in ask(client, stream=True):
            pass


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("behaviour", [*BROKEN, "throttle", "refuse"])
def test_the_escalation_is_told_whatever_the_model_does(
    gateway: Gateway, client: openai.OpenAI, stub: StubLLM, second: StubLLM, behaviour: str, stream: bool
) -> None:
    stub.behave(behaviour, "Half of this is hidden.")
    second.behave(behaviour, "Half of this is hidden.")
    if stream:
        events = lines(gateway, URGENT)
        assert events[-1] == "data: [DONE]"
        text = "".join(
            choice["delta"].get("content", "")
            for line in events[:-1]
            for choice in json.loads(line.removeprefix("data: "))["choices"]
        )
    else:
        text = ask(client, URGENT).choices[0].message.content
    assert text.startswith("What you describe")
    assert text.endswith(FAILED["en"])
    assert "Half" not in text


def test_an_escalation_is_streamed_before_the_model_has_said_a_word(
    gateway: Gateway, client: openai.OpenAI, stub: StubLLM, second: StubLLM
) -> None:
    stub.behave("hang")
    second.behave("hang")
    started = time.perf_counter()
    first = next(iter(ask(client, URGENT, stream=True)))
    assert first.choices[0].delta.content.startswith("What you describe")
    assert time.perf_counter() - started < DEADLINE / 2


@pytest.mark.parametrize("stream", [False, True])
def test_an_escalation_is_told_though_it_was_prepared_long_after_the_deadline(
    gateway: Gateway, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr(gateway_module, "GRACE_S", 0.5)
    for served in mounted._gateways.values():
        prepare = served._personalizer.prepare

        def late(*asked: Any, prepare: Any = prepare) -> Any:
            time.sleep(DEADLINE + 1.0)
            return prepare(*asked)

        monkeypatch.setattr(served._personalizer, "prepare", late)
    if stream:
        events = lines(gateway, URGENT)
        assert "What you describe" in events[0] + events[1]
        assert events[-1] == "data: [DONE]"
    else:
        assert ask(client, URGENT).choices[0].message.content.startswith("What you describe")


def test_the_next_model_is_asked_where_the_first_cannot_answer(
    client: openai.OpenAI, stub: StubLLM, second: StubLLM
) -> None:
    for behaviour in ("error", "throttle", "hang"):
        stub.behave(behaviour)
        answer = ask(client)
        assert answer.choices[0].message.content == "From the second."
        assert answer.model == "second"
        assert len(stub.received) == 1


def test_a_model_that_failed_once_is_tried_again_and_a_begun_answer_never(
    client: openai.OpenAI, stub: StubLLM, second: StubLLM
) -> None:
    stub.behave("flaky")
    second.behave("error")
    assert ask(client).choices[0].message.content == stub.text
    assert len(stub.received) == 2
    stub.behave("garbage")
    second.behave("answer")
    with pytest.raises(openai.InternalServerError):
        ask(client)
    assert (len(stub.received), len(second.received)) == (1, 0)


@pytest.mark.attack("access", "an upstream whose refusal repeats the prompt", "refused in words of ours")
def test_a_request_that_the_model_refuses_is_refused_in_words_of_ours_once(
    client: openai.OpenAI, stub: StubLLM, second: StubLLM
) -> None:
    stub.behave("refuse")
    for _ in range(2 * FAILURES):  # a request at fault is no failure of the server's
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, stop=["."])
        assert refused.value.code is None
        assert "malformed" not in str(refused.value)
        assert "does not take this request" in str(refused.value)
    assert (len(stub.received), len(second.received)) == (2 * FAILURES, 0)


@pytest.mark.attack("event loop", "a client whose stop list leaves every answer empty", "others are answered")
@pytest.mark.parametrize("behaviour", ["empty", "garbage", "unended", "throttle", "refuse"])
def test_what_one_request_asks_for_takes_the_model_from_nobody(
    client: openai.OpenAI, stub: StubLLM, second: StubLLM, behaviour: str
) -> None:
    stub.behave(behaviour)
    second.behave(behaviour)
    for _ in range(FAILURES + 1):
        with pytest.raises(openai.APIError):
            ask(client, stop=["."])
    stub.behave("answer")
    second.behave("answer")
    assert ask(client).choices[0].message.content
    assert len(stub.received) == 1


@pytest.mark.attack("event loop", "an upstream that streams 1 MB without the end of a sentence", "cut at 64 kB")
@pytest.mark.parametrize("repeated", ["a", "我"])
def test_an_endless_stream_is_cut(client_of: ClientFactory, stub: StubLLM, repeated: str) -> None:
    stub.behave("flood", repeated * 1_000_000)
    body = {"user": ADA, "messages": [{"role": "user", "content": TIRED}], "stream": True}
    patient = client_of(llm_base_url=stub.url, llm_model="stub", llm_timeout_s="60")
    *events, done = patient.post("/v1/chat/completions", json=body).text.split("\n\n")[:-1]
    choices = [choice for event in events for choice in json.loads(event.removeprefix("data: "))["choices"]]
    assert done == "data: [DONE]"
    assert sum(len(choice["delta"].get("content") or "") for choice in choices) == LONGEST_TEXT
    assert choices[-1]["finish_reason"] == "length"


def test_the_model_named_by_the_application_is_asked_first(client: openai.OpenAI, stub: StubLLM) -> None:
    answer = client.chat.completions.create(model="second", user=ADA, messages=[{"role": "user", "content": TIRED}])
    assert answer.choices[0].message.content == "From the second."
    assert not stub.received


def test_a_model_that_keeps_failing_is_left_alone(client: openai.OpenAI, stub: StubLLM, second: StubLLM) -> None:
    stub.behave("error")
    for _ in range(8):
        ask(client)
    assert len(stub.received) == 5
    second.behave("error")
    statuses = []
    for _ in range(8):
        with pytest.raises(openai.InternalServerError) as failed:
            ask(client)
        statuses.append(failed.value)
    assert statuses[-1].status_code == 503
    assert int(statuses[-1].response.headers["retry-after"]) > 0
    assert len(second.received) <= 6


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_the_call(
    gateway: Gateway, client: openai.OpenAI, stub: StubLLM, second: StubLLM, stream: bool
) -> None:
    stub.behave("stall" if stream else "hang", "Rest when you can. Drink enough.")
    with pytest.raises(openai.APITimeoutError):
        list(ask(client.with_options(timeout=0.3), stream=stream))
    assert stub.gone.wait(0.5)  # before the deadline


def test_a_full_queue_answers_503_and_says_when_to_come_back(gateway: Gateway, client: openai.OpenAI) -> None:
    body = {"model": "any", "user": ADA}
    url = f"{gateway.url}/v1/chat/completions"

    def one(number: int) -> httpx.Response:
        asked = {**body, "messages": [{"role": "user", "content": f"Is it normal to be tired for {number} days?"}]}
        return httpx.post(url, json=asked, headers=gateway.headers, timeout=20)

    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(one, range(120)))
    shed = [answer for answer in answers if answer.status_code == 503]
    assert {200, 503} <= {answer.status_code for answer in answers} <= {200, 503, 504}
    assert all(answer.headers["retry-after"] == "1" for answer in shed)
    assert all(answer.json()["error"]["code"] == "overloaded" for answer in shed)
    assert one(0).status_code == 200
