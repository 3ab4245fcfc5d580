"""Only what the check has read is shown, whatever fields an upstream fills."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bentos.openai import app as mounted
from bentos.personalizer.llm_answer import WITHHELD
from tests.contract.openai_server import Gateway, serve
from tests.contract.stub_llm import StubLLM
from tests.contract.three_women import ADA

if TYPE_CHECKING:
    from conftest import ClientFactory

    from pmlm.settings import Settings

TIRED = "Is it normal to feel this tired?"
SECRET = "canary-penicillin"
RIGHT = "Rest when you can."
#: Members of a message that no check reads.
HIDDEN: tuple[dict[str, Any], ...] = (
    {"refusal": SECRET},
    {"thinking": SECRET},
    {"reasoning": SECRET},
    {"reasoning_content": SECRET},
    {"reasoning_details": [{"text": SECRET}]},
    {"annotations": [{"type": "url_citation", "url_citation": {"title": SECRET}}]},
    {"audio": {"transcript": SECRET}},
    {"function_call": {"name": SECRET, "arguments": "{}"}},
    {"x_new_field": {"deep": [SECRET]}},
    {"role": SECRET},
    {"name": SECRET},
)


@pytest.fixture(scope="module")
def gateway(client_of: ClientFactory, settings: Settings, stub: StubLLM) -> Iterator[Gateway]:
    with serve(settings, llm_base_url=stub.url, llm_model="stub", llm_timeout_s="10") as running:
        yield running


def ask(gateway: Gateway, stub: StubLLM, *, stream: bool, question: str = TIRED, **fields: Any) -> str:
    """The raw bytes of an answer to which the upstream gave these fields."""
    stub.behave("fields")
    for served in mounted._gateways.values():  # whatever the model did before
        for upstream in served._llm._upstreams:
            upstream.breaker.record_success()
    stub.fields = fields
    body: dict[str, Any] = {"user": ADA, "messages": [{"role": "user", "content": question}], "n": 2}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=gateway.headers, timeout=20).text


def read(raw: str) -> str:
    """All content of the first choice."""
    if not raw.startswith("data:"):
        return str(json.loads(raw)["choices"][0]["message"]["content"])
    events = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith("data: {")]
    deltas = [c["delta"] for event in events for c in event.get("choices", ()) if c["index"] == 0]
    return "".join(delta.get("content") or "" for delta in deltas)


@pytest.mark.attack("safety messages", "an upstream writes into a field that no check reads", "the field is dropped")
@pytest.mark.parametrize("hidden", HIDDEN, ids=lambda hidden: next(iter(hidden)))
@pytest.mark.parametrize("stream", [False, True])
def test_no_other_field_is_shown(gateway: Gateway, stub: StubLLM, hidden: dict[str, Any], stream: bool) -> None:
    message = {"content": RIGHT} | hidden
    raw = ask(gateway, stub, stream=stream, message=message, deltas=[{"content": RIGHT}, hidden, message])
    assert SECRET not in raw
    assert read(raw).startswith(RIGHT)


@pytest.mark.parametrize("hidden", HIDDEN, ids=lambda hidden: next(iter(hidden)))
@pytest.mark.parametrize("stream", [False, True])
def test_a_hidden_field_alone_is_no_answer(
    gateway: Gateway, stub: StubLLM, hidden: dict[str, Any], stream: bool
) -> None:
    raw = ask(gateway, stub, stream=stream, message={"content": None} | hidden, deltas=[hidden])
    assert SECRET not in raw
    assert "error" in raw


def test_members_of_the_completion_are_numbers_or_one_word(gateway: Gateway, stub: StubLLM) -> None:
    completion = {
        "created": SECRET,
        "usage": {"prompt_tokens": 9, "note": SECRET, "details": {"cached_tokens": 1, "why": SECRET}},
        "system_fingerprint": f"{SECRET} in words",
        "service_tier": {"name": SECRET},
        "warnings": [SECRET],
    }
    raw = ask(gateway, stub, stream=False, message={"content": RIGHT}, completion=completion, finish=SECRET)
    assert SECRET not in raw
    answer = json.loads(raw)
    assert answer["usage"] == {"prompt_tokens": 9, "details": {"cached_tokens": 1}}
    assert answer["choices"][0]["finish_reason"] == "stop"


ARGUMENTS = (
    {"advice": "Take penicillin V 500 mg"},
    {"steps": [{"text": "You can take amoxicillin."}]},
    {"You can take penicillin": True},
)


@pytest.mark.attack("safety messages", "an upstream hides advice in the arguments of a tool call", "it is withheld")
@pytest.mark.parametrize("arguments", [*map(json.dumps, ARGUMENTS), '{"a": "Take \\u0070enicillin V", "a": "x"}'])
@pytest.mark.parametrize("stream", [False, True])
def test_the_arguments_of_a_tool_are_checked(gateway: Gateway, stub: StubLLM, arguments: str, stream: bool) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "book", "arguments": arguments}}
    pieces = [arguments[i : i + 7] for i in range(0, len(arguments), 7)]
    deltas: list[dict[str, Any]] = [{"tool_calls": [{"index": 0, **call, "function": {"name": "book"}}]}]
    deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
    message = {"content": None, "tool_calls": [call]}
    raw = ask(gateway, stub, stream=stream, message=message, deltas=deltas, finish="tool_calls")
    assert "book" not in raw
    assert read(raw) == WITHHELD["en"]
    assert "content_filter" in raw
    assert '"prompt_tokens":9' in raw


@pytest.mark.parametrize("stream", [False, True])
def test_a_harmless_call_passes_with_its_known_members(gateway: Gateway, stub: StubLLM, stream: bool) -> None:
    call = {"id": "c-1", "type": SECRET, "x": SECRET, "function": {"name": "book", "arguments": '{"when": "today"}'}}
    message = {"content": None, "tool_calls": [call]}
    deltas = [{"tool_calls": [{"index": 0, **call}]}]
    raw = ask(gateway, stub, stream=stream, message=message, deltas=deltas, finish="tool_calls")
    assert SECRET not in raw
    known = {"id": "c-1", "type": "function", "function": {"name": "book", "arguments": '{"when": "today"}'}}
    assert json.dumps(known, separators=(",", ":"))[1:-1] in raw
    assert '"finish_reason":"tool_calls"' in raw


@pytest.mark.parametrize(
    "text", ["Take \\u0070enicillin V.", "Take &#112;enicillin V.", '{"a": "Take \\u0070enicillin"}']
)
@pytest.mark.parametrize("stream", [False, True])
def test_escaped_characters_are_read(gateway: Gateway, stub: StubLLM, text: str, stream: bool) -> None:
    assert (
        read(ask(gateway, stub, stream=stream, message={"content": text}, deltas=[{"content": text}]))
        == (WITHHELD["en"])
    )


def test_probabilities_are_of_shown_tokens_alone(gateway: Gateway, stub: StubLLM) -> None:
    def entry(token: str) -> dict[str, Any]:
        top = [{"token": SECRET, "logprob": -2.0, "bytes": None}]
        return {"token": token, "logprob": -0.5, "bytes": list(SECRET.encode()), "top_logprobs": top}

    tokens = ["Rest", " when", " you", " can."]
    choice = {"logprobs": {"content": [entry(token) for token in tokens], "refusal": [entry(SECRET)]}}
    raw = ask(gateway, stub, stream=False, message={"content": RIGHT}, choice=choice)
    assert SECRET not in raw
    shown = json.loads(raw)["choices"][0]["logprobs"]["content"]
    assert [one["token"] for one in shown] == tokens
    choice["logprobs"]["content"].append(entry(SECRET))
    raw = ask(gateway, stub, stream=False, message={"content": RIGHT}, choice=choice)
    assert SECRET not in raw
