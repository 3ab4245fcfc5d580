"""``/v1/responses`` by the official ``openai`` client: the same gateway as for chats, in the other API's shape."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from bentos.personalizer.llm_answer import FAILED, WITHHELD
from tests.contract.openai_server import Gateway
from tests.contract.response_client import TIRED, ask, client, gateway
from tests.contract.stub_llm import TOOL_CALL, StubLLM
from tests.contract.three_women import ADA

__all__ = ["client", "gateway"]

URGENT = "My blood pressure was 146/94 today, is that normal?"
BLEEDING = "I am bleeding heavily and soaking a pad an hour, is that normal?"
BOOK: Any = {"type": "function", "name": "book", "parameters": {"type": "object", "properties": {}}, "strict": True}
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TEXT_EVENTS = ["output_item.added", "content_part.added"]
TEXT_ENDS = ["output_text.done", "content_part.done", "output_item.done"]
BEGINNING = ["created", "in_progress"]


def stream(client: openai.OpenAI, question: Any = TIRED, **more: Any) -> list[Any]:
    return list(ask(client, question, stream=True, **more))


def kinds(events: list[Any]) -> list[str]:
    """The events' types, without their common beginning; repeated deltas once."""
    names = [event.type.removeprefix("response.") for event in events]
    return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name or not name.endswith("delta")]


def join_text(events: list[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def test_a_text_is_answered_and_the_hard_prompt_went_in_front(client: openai.OpenAI, stub: StubLLM) -> None:
    answer = ask(client, instructions="Be brief.", temperature=0.3, max_output_tokens=99, top_p=0.5)
    assert answer.output_text == stub.text
    assert (answer.status, answer.object, answer.model, answer.error) == ("completed", "response", "stub", None)
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (9, 5, 14)
    assert (answer.instructions, answer.temperature, answer.max_output_tokens) == ("Be brief.", 0.3, 99)
    assert answer.store is False
    [sent] = stub.received
    assert [m["role"] for m in sent["messages"]] == ["system", "user"]
    assert "penicillin V" in sent["messages"][0]["content"]
    assert sent["messages"][0]["content"].endswith("\n\nBe brief.")
    assert sent["messages"][1]["content"] == TIRED
    assert (sent["temperature"], sent["max_completion_tokens"], sent["top_p"]) == (0.3, 99, 0.5)
    assert not {"input", "instructions", "user", "max_output_tokens"} & sent.keys()


def test_an_answer_has_the_shape_that_openais_own_types_demand(gateway: Gateway, client: openai.OpenAI) -> None:
    body = {"model": "any", "user": ADA, "input": TIRED, "tools": [BOOK]}
    whole = httpx.post(f"{gateway.url}/v1/responses", json=body, headers=gateway.headers)
    Response.model_validate(whole.json(), strict=True)
    for event in stream(client, tools=[BOOK]):
        EVENTS.validate_python(event.model_dump(by_alias=True, exclude={"response": {"pmlm"}}))


def test_items_become_the_messages_of_a_chat(client: openai.OpenAI, stub: StubLLM) -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "book", "arguments": '{"when": "today"}'}
    items = [
        {"role": "developer", "content": "Book nothing twice."},
        {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
         "content": [{"type": "output_text", "text": "Good morning.", "annotations": []}]},
        {"role": "user", "content": "Book me in, please."},
        call,
        call | {"call_id": "call_2", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": '{"booked": true}'},
        {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "full"}]},
        {"role": "user", "content": [{"type": "input_text", "text": TIRED}, {"type": "input_text", "text": "And"}]},
    ]  # fmt: skip
    assert ask(client, items).output_text == stub.text
    [sent] = stub.received
    assert sent["messages"][0]["content"].endswith("\n\nBook nothing twice.")
    second = TOOL_CALL | {"id": "call_2", "function": {"name": "book", "arguments": "{}"}}
    assert sent["messages"][1:] == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good morning."},
        {"role": "user", "content": "Book me in, please."},
        {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL, second]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"booked": true}'},
        {"role": "tool", "tool_call_id": "call_2", "content": "full"},
        {"role": "user", "content": [{"type": "text", "text": TIRED}, {"type": "text", "text": "And"}]},
    ]


def test_an_answers_own_items_can_be_sent_back(client: openai.OpenAI, stub: StubLLM) -> None:
    stub.behave("tools")
    first = ask(client, "Book me in, please.", tools=[BOOK])
    stub.behave("answer")
    output = {"type": "function_call_output", "call_id": first.output[0].call_id, "output": "done"}
    history = [{"role": "user", "content": "Book me in, please."}, *first.output, output]
    assert ask(client, history, tools=[BOOK]).output_text == stub.text
    [sent] = stub.received
    assert [m["role"] for m in sent["messages"]] == ["system", "user", "assistant", "tool"]


def test_structure_and_effort_are_asked_for_as_a_chat_does(client: openai.OpenAI, stub: StubLLM) -> None:
    schema = {"name": "reply", "strict": True, "schema": {"type": "object", "properties": {}}}
    ask(client, text={"format": {"type": "json_schema", **schema}, "verbosity": "low"}, reasoning={"effort": "low"})
    [sent] = stub.received
    assert sent["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert (sent["verbosity"], sent["reasoning_effort"]) == ("low", "low")
    assert not {"text", "reasoning"} & sent.keys()


def test_a_function_is_offered_and_called_whole_and_streamed(client: openai.OpenAI, stub: StubLLM) -> None:
    stub.behave("tools")
    choice = {"type": "function", "name": "book"}
    [call] = ask(client, tools=[BOOK], tool_choice=choice, parallel_tool_calls=False).output
    assert (call.type, call.name, call.arguments, call.call_id) == (
        "function_call", "book", '{"when": "today"}', "call_1"
    )  # fmt: skip
    [sent] = stub.received
    function = {name: value for name, value in BOOK.items() if name != "type"}
    assert sent["tools"] == [{"type": "function", "function": function}]
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == (
        {"type": "function", "function": {"name": "book"}}, False
    )  # fmt: skip
    events = stream(client, tools=[BOOK])
    arguments = ["function_call_arguments.delta", "function_call_arguments.done"]
    assert kinds(events) == [*BEGINNING, "output_item.added", *arguments, "output_item.done", "completed"]
    assert events[-1].response.output[0].arguments == '{"when": "today"}'
    with client.responses.stream(model="any", user=ADA, input=TIRED, tools=[BOOK]) as running:
        last: Any = running.get_final_response().output[0]
    assert last.name == "book"


def test_a_stream_is_openais_sequence_of_events_sentence_by_sentence(client: openai.OpenAI, stub: StubLLM) -> None:
    stub.behave("answer", "Rest when you can. Your haemoglobin is 9.8 g/dL, see Dr. Li. Drink enough")
    events = stream(client)
    assert kinds(events) == [*BEGINNING, *TEXT_EVENTS, "output_text.delta", *TEXT_ENDS, "completed"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta.strip() for event in events if event.type == "response.output_text.delta"]
    assert deltas[0] == "Rest when you can."
    assert join_text(events) == stub.text
    done = events[-1].response
    assert done.output_text == stub.text
    assert (done.usage.input_tokens, done.usage.output_tokens) == (9, 5)
    assert {event.item_id for event in events if hasattr(event, "item_id")} == {done.output[0].id}


def test_the_clients_own_reader_of_streams_is_content(client: openai.OpenAI, stub: StubLLM) -> None:
    with client.responses.stream(model="any", user=ADA, input=TIRED) as running:
        assert running.get_final_response().output_text == stub.text


def test_a_server_that_counts_nothing_gets_no_invented_count(client: openai.OpenAI, stub: StubLLM) -> None:
    stub.behave("fields")
    stub.fields = {"message": {"content": "Rest."}, "completion": {"usage": None}}
    assert ask(client).usage is None


def test_a_red_flag_is_escalated_first_streamed_or_not(client: openai.OpenAI, stub: StubLLM) -> None:
    whole = ask(client, URGENT).output_text
    events = stream(client, URGENT)
    assert join_text(events) == whole == events[-1].response.output_text
    assert whole.endswith(stub.text)
    first = next(event for event in events if event.type == "response.output_text.delta")
    assert first.delta == whole.removesuffix(f"\n\n{stub.text}")
    assert len(stub.received) == 2


def test_in_place_of_a_call_the_escalation_is_a_plain_message(client: openai.OpenAI, stub: StubLLM) -> None:
    stub.behave("tools")
    for answer in (ask(client, URGENT, tools=[BOOK]), stream(client, URGENT, tools=[BOOK])[-1].response):
        assert [item.type for item in answer.output] == ["message"]
        assert answer.output_text


@pytest.mark.parametrize("place", [0, 1])
def test_an_emergency_in_any_item_since_the_last_answer_asks_nobody(
    client: openai.OpenAI, stub: StubLLM, place: int
) -> None:
    items = [{"role": "user", "content": "May I drink tea?"}]
    items.insert(place, {"role": "user", "content": BLEEDING})
    alone = ask(client, BLEEDING).output_text
    assert ask(client, items).output_text == alone
    assert join_text(stream(client, items)) == alone
    assert stub.received == []


def test_a_sentence_that_fails_the_check_ends_the_answer(client: openai.OpenAI, stub: StubLLM) -> None:
    stub.behave("answer", "That can be an infection. You could take penicillin for it. Then rest.")
    whole = ask(client)
    assert whole.output_text == WITHHELD["en"]
    assert (whole.status, whole.incomplete_details.reason) == ("incomplete", "content_filter")
    assert whole.pmlm["findings"]
    events = stream(client)
    assert join_text(events).startswith("That can be an infection.")
    assert join_text(events).endswith(WITHHELD["en"])
    assert "take penicillin" not in join_text(events)
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.incomplete_details.reason == "content_filter"
    assert events[-1].response.output[0].status == "incomplete"
    assert events[-1].response.pmlm["findings"]


def test_an_answer_that_the_model_cut_is_incomplete(client: openai.OpenAI, stub: StubLLM) -> None:
    stub.behave("fields")
    stub.fields = {"message": {"content": "Rest and"}, "deltas": [{"content": "Rest and"}], "finish": "length"}
    for answer in (ask(client), stream(client)[-1].response):
        assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
        assert answer.output_text == "Rest and"


@pytest.mark.parametrize("behaviour", ["half", "unended", "garbage", "empty"])
def test_a_broken_stream_never_looks_whole(
    gateway: Gateway, client: openai.OpenAI, stub: StubLLM, behaviour: str
) -> None:
    stub.behave(behaviour, "Rest when you can. Drink enough.")
    body = {"model": "any", "user": ADA, "input": TIRED, "stream": True}
    raw = httpx.post(f"{gateway.url}/v1/responses", json=body, headers=gateway.headers).text
    names = [line.removeprefix("event: ") for line in raw.splitlines() if line.startswith("event: ")]
    assert names[-2:] == ["error", "response.failed"]
    assert "response.completed" not in names
    failed = json.loads(raw.splitlines()[-2].removeprefix("data: "))["response"]
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")
    with pytest.raises(openai.APIError):
        stream(client)


@pytest.mark.parametrize("behaviour", ["error", "refuse", "throttle"])
def test_a_failure_is_raised_as_for_a_chat_and_an_escalation_shown(
    client: openai.OpenAI, stub: StubLLM, behaviour: str
) -> None:
    stub.behave(behaviour)
    with pytest.raises(openai.APIStatusError):
        ask(client)
    assert ask(client, URGENT).output_text.endswith(FAILED["en"])


@pytest.mark.parametrize(
    "named",
    [
        {"metadata": {"patient": ADA, "ward": "4"}, "user": openai.omit},
        {"extra_headers": {"X-PMLM-Patient": ADA}, "user": "app-17"},
        {"safety_identifier": ADA, "prompt_cache_key": ADA},
    ],
)
def test_no_patient_reference_reaches_the_language_model(
    client: openai.OpenAI, stub: StubLLM, named: dict[str, Any]
) -> None:
    ask(client, TIRED, instructions=f"You speak with Patient/{ADA}.", **named)
    assert "penicillin V" in stub.received[0]["messages"][0]["content"]
    seen = json.dumps([stub.received, stub.headers])
    assert ADA not in seen
    assert "app-17" not in seen
    assert not {"user", "metadata", "safety_identifier", "prompt_cache_key"} & stub.received[0].keys()


def test_an_answer_can_be_explained(gateway: Gateway, client: openai.OpenAI) -> None:
    for answer in (ask(client), stream(client)[0].response):
        id_ = answer.pmlm["answer_id"]
        assert answer.id == f"resp_{id_}"
        explained = httpx.get(f"{gateway.url}/explain/{id_}", headers=gateway.headers).json()
        assert (explained["id"], explained["endpoint"]) == (id_, "responses")
