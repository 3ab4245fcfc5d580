"""The official ``openai`` client with another ``base_url``: what it gets, and what the language model sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from bentos.personalizer.llm_answer import WITHHELD
from tests.contract.openai_server import Gateway, serve
from tests.contract.stub_llm import TOOL_CALL, StubLLM
from tests.contract.three_women import ADA, BEA

if TYPE_CHECKING:
    from conftest import ClientFactory

    from pmlm.settings import Settings

TIRED = "Is it normal to feel this tired?"
BLEEDING = "I am bleeding heavily and soaking a pad an hour, is that normal?"
URGENT = "My blood pressure was 146/94 today, is that normal?"
#: No rule names it: the classifier alone finds it.
DROWNING = "Lying flat I feel like I'm drowning and I hear bubbling in my lungs"
TOOLS = [{"type": "function", "function": {"name": "book", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(scope="module")
def gateway(client_of: ClientFactory, settings: Settings, stub: StubLLM) -> Iterator[Gateway]:
    """The service with the stub as its language model, really listening."""
    with serve(settings, llm_base_url=stub.url, llm_model="stub", llm_timeout_s="10") as running:
        yield running


@pytest.fixture
def client(gateway: Gateway, stub: StubLLM) -> openai.OpenAI:
    stub.behave("answer")
    return gateway.openai


def ask(client: openai.OpenAI, question: str = TIRED, **more: Any) -> Any:
    more = {"user": f"Patient/{ADA}", "messages": [{"role": "user", "content": question}], **more}
    return client.chat.completions.create(model="any", **more)


def streamed(client: openai.OpenAI, question: str = TIRED, **more: Any) -> tuple[list[str], list[str]]:
    """The pieces of text and the reasons for ending, as they came."""
    pieces, ends = [], []
    for chunk in ask(client, question, stream=True, **more):
        for choice in chunk.choices:
            if choice.delta.content:
                pieces.append(choice.delta.content)
            if choice.finish_reason:
                ends.append(choice.finish_reason)
    return pieces, ends


def test_the_models_answer_comes_back_and_the_hard_prompt_went_in_front(client: openai.OpenAI, stub: StubLLM) -> None:
    answer = ask(client)
    assert answer.choices[0].message.content == stub.text
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 14
    [sent] = stub.received
    assert [m["role"] for m in sent["messages"]] == ["system", "user"]
    assert "penicillin V" in sent["messages"][0]["content"]
    assert sent["messages"][1] == {"role": "user", "content": TIRED}
    assert sent["model"] == "stub"


def test_everything_of_the_applications_passes_untouched_and_in_order(client: openai.OpenAI, stub: StubLLM) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You are the clinic's assistant.\n<|im_end|>"},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}], "name": "she"},
        {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"booked": true}'},
        {"role": "assistant", "content": "It is booked."},
        {"role": "user", "content": TIRED},
    ]
    more: dict[str, Any] = {
        "temperature": 0.3,
        "tools": TOOLS,
        "tool_choice": "auto",
        "seed": 7,
        "extra_body": {"top_k": 4},
    }
    ask(client, messages=messages, **more)
    [sent] = stub.received
    assert sent["messages"][0]["content"].endswith(f"\n\n{messages[0]['content']}")
    assert sent["messages"][1:] == messages[1:]
    assert (sent["temperature"], sent["seed"], sent["top_k"]) == (0.3, 7, 4)
    assert (sent["tools"], sent["tool_choice"]) == (TOOLS, "auto")


@pytest.mark.parametrize("reference", [f"Patient/{ADA}", ADA, f"urn:uuid:{ADA}"])
@pytest.mark.parametrize("place", ["user", "metadata", "header"])
def test_no_patient_reference_reaches_the_language_model(
    client: openai.OpenAI, stub: StubLLM, place: str, reference: str
) -> None:
    told: dict[str, Any] = {
        "user": {"user": reference},
        "metadata": {"user": openai.omit, "metadata": {"patient": reference, "ward": "4"}},
        "header": {"user": "app-17", "extra_headers": {"X-PMLM-Patient": reference}},
    }[place]
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": f"You speak with {reference} (record {ADA}) today."},
        {"role": "user", "content": TIRED},
    ]
    ask(client, messages=messages, extra_body={"safety_identifier": reference, "trace": [reference]}, **told)
    assert "penicillin V" in stub.received[0]["messages"][0]["content"]
    seen = json.dumps([stub.received, stub.headers])
    assert ADA not in seen
    assert "app-17" not in seen
    assert not {"user", "metadata", "safety_identifier"} & stub.received[0].keys()
    assert not any(name.lower().startswith("x-pmlm") for name in stub.headers[0])


def test_the_header_counts_before_user_and_contradictions_are_refused(client: openai.OpenAI, stub: StubLLM) -> None:
    ask(client, user=f"Patient/{ADA}", extra_headers={"X-PMLM-Patient": BEA})
    assert "penicillin V" not in stub.received[0]["messages"][0]["content"]
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, metadata={"patient": ADA}, extra_headers={"X-PMLM-Patient": BEA})
    assert refused.value.param == "metadata.patient"


def test_a_stream_is_released_sentence_by_sentence(client: openai.OpenAI, stub: StubLLM) -> None:
    stub.behave("answer", "Rest when you can. Your haemoglobin is 9.8 g/dL, see Dr. Li. Drink enough")
    pieces, ends = streamed(client)
    assert "".join(pieces) == stub.text
    assert pieces[0].strip() == "Rest when you can."
    assert "Your haemoglobin is 9.8 g/dL, see Dr. Li." in [piece.strip() for piece in pieces]
    assert ends == ["stop"]


def test_usage_of_a_stream_comes_where_it_is_asked_for(client: openai.OpenAI) -> None:
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert [chunk.usage.prompt_tokens for chunk in chunks if chunk.usage] == [9]


def test_tool_calls_pass_whole_and_streamed(client: openai.OpenAI, stub: StubLLM) -> None:
    stub.behave("tools")
    answer = ask(client, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls[0].function.name == "book"
    deltas = [c.choices[0] for c in ask(client, tools=TOOLS, stream=True) if c.choices]
    assert [d.delta.tool_calls[0].function.arguments for d in deltas if d.delta.tool_calls] == ['{"when": "today"}']
    assert deltas[-1].finish_reason == "tool_calls"


def test_a_red_flag_is_escalated_first_streamed_or_not(client: openai.OpenAI, stub: StubLLM) -> None:
    whole = ask(client, URGENT).choices[0].message.content
    pieces, ends = streamed(client, URGENT)
    assert "".join(pieces) == whole
    assert whole.endswith(stub.text)
    assert pieces[0] == whole.removesuffix(f"\n\n{stub.text}")
    assert ends == ["stop"]
    assert len(stub.received) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_talks_down_an_escalation_is_withheld_whole(
    client: openai.OpenAI, stub: StubLLM, stream: bool
) -> None:
    stub.behave("answer", "Rest a little. There is no need to worry.")
    if stream:
        pieces, ends = streamed(client, URGENT)
        text, end = "".join(pieces), ends[0]
    else:
        whole = ask(client, URGENT)
        choice = whole.choices[0]
        assert whole.pmlm["findings"] == ["plays_down"]
        text, end = choice.message.content, choice.finish_reason
    assert text.endswith(WITHHELD["en"])
    assert "Rest a little" not in text
    assert end == "content_filter"


@pytest.mark.parametrize("told", [BLEEDING, DROWNING])
def test_a_later_turn_may_not_talk_the_escalation_down_either(client: openai.OpenAI, stub: StubLLM, told: str) -> None:
    stub.behave("answer", "It is perfectly normal.")
    history = [{"role": "user", "content": told}, {"role": "assistant", "content": "Call now."}]
    later = [*history, {"role": "user", "content": "And may I drink tea meanwhile?"}]
    pieces, _ = streamed(client, messages=later)
    assert "".join(pieces) == WITHHELD["en"]


def test_the_sentence_with_a_drug_she_is_allergic_to_ends_the_stream(client: openai.OpenAI, stub: StubLLM) -> None:
    stub.behave("answer", "That can be an infection. You could take penicillin for it. Then rest.")
    pieces, ends = streamed(client)
    assert pieces[0].strip() == "That can be an infection."
    assert "".join(pieces).endswith(WITHHELD["en"])
    assert "take penicillin" not in "".join(pieces)
    assert "Then rest" not in "".join(pieces)
    assert ends == ["content_filter"]


@pytest.mark.parametrize("more", [{"tools": TOOLS}, {"response_format": {"type": "json_object"}}])
@pytest.mark.parametrize("stream", [False, True])
def test_in_place_of_a_tool_call_or_json_the_escalation_is_a_plain_message(
    client: openai.OpenAI, stub: StubLLM, more: dict[str, Any], stream: bool
) -> None:
    stub.behave("tools" if "tools" in more else "answer", '{"answer": "Rest."}')
    plain = ask(client, URGENT).choices[0].message.content
    if stream:
        pieces, ends = streamed(client, URGENT, **more)
        text = "".join(pieces)
    else:
        choice = ask(client, URGENT, **more).choices[0]
        assert not choice.message.tool_calls
        text, ends = choice.message.content, [choice.finish_reason]
    assert text
    assert plain.startswith(text)
    assert ends == ["stop"]


def test_every_choice_is_checked(client: openai.OpenAI, stub: StubLLM) -> None:
    stub.behave("answer", "Take amoxicillin now.")
    assert [c.message.content for c in ask(client, n=2).choices] == [WITHHELD["en"]] * 2
    pieces, ends = streamed(client, n=2)
    assert pieces == [WITHHELD["en"]] * 2
    assert ends == ["content_filter"] * 2


def test_an_answer_can_be_explained_and_its_versions_are_named(gateway: Gateway, client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="any", user=ADA, messages=[{"role": "user", "content": TIRED}]
    )
    id_ = raw.headers["x-pmlm-answer-id"]
    assert raw.parse().id == f"chatcmpl-{id_}"
    explained = httpx.get(f"{gateway.url}/explain/{id_}", headers=gateway.headers).json()
    assert explained["id"] == id_
    assert explained["endpoint"] == "chat"


def test_the_language_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["stub"]
    assert client.models.retrieve("stub").id == "stub"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "a" * 4001}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "a\x00b"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 4}]}, "messages[0].content"),
        ({"user": None}, "user"),
        ({"user": 7}, "user"),
        ({"user": "a" * 201}, "user"),
        ({"metadata": "x"}, "metadata"),
        ({"n": 100}, "n"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_a_broken_field_is_named_in_openais_shape(gateway: Gateway, body: dict[str, Any], param: str) -> None:
    full = {"model": "any", "user": ADA, "messages": [{"role": "user", "content": TIRED}], **body}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=full, headers=gateway.headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"messages": "\\ud800"}', b"[" * 100_000])
def test_a_body_that_is_no_request_is_refused(gateway: Gateway, body: bytes) -> None:
    headers = {**gateway.headers, "content-type": "application/json"}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_strangers_get_no_answer(gateway: Gateway, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        ask(client, user="Patient/nobody")
    assert "nobody" not in str(unknown.value)
    with pytest.raises(openai.AuthenticationError):
        ask(client.with_options(api_key="none"))
    with pytest.raises(openai.PermissionDeniedError):
        ask(client.with_options(api_key=gateway.token_for(BEA)))
    assert ask(client.with_options(api_key=gateway.token_for(ADA))).choices


@pytest.mark.parametrize("stream", [False, True])
def test_a_red_flag_in_any_message_since_the_last_answer_escalates(
    client: openai.OpenAI, stub: StubLLM, stream: bool
) -> None:
    messages = [{"role": "user", "content": text} for text in (BLEEDING, "Sorry.", "May I drink tea?")]
    if stream:
        text = "".join(streamed(client, messages=messages)[0])
    else:
        text = ask(client, messages=messages).choices[0].message.content
    assert text == ask(client, BLEEDING).choices[0].message.content
    assert stub.received == []
