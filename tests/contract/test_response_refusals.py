"""What ``/v1/responses`` refuses: strangers, and by name in OpenAI's shape what cannot be done."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from tests.contract.openai_server import Gateway
from tests.contract.response_client import TIRED, ask, client, gateway
from tests.contract.stub_llm import StubLLM
from tests.contract.three_women import ADA, BEA

__all__ = ["client", "gateway"]


def test_strangers_get_no_answer(gateway: Gateway, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        ask(client, user="Patient/nobody")
    assert "nobody" not in str(unknown.value)
    with pytest.raises(openai.AuthenticationError):
        ask(client.with_options(api_key="none"))
    with pytest.raises(openai.PermissionDeniedError):
        ask(client.with_options(api_key=gateway.token_for(BEA)))
    assert ask(client.with_options(api_key=gateway.token_for(ADA))).output_text


IMAGE = {"type": "input_image", "image_url": "https://example.org/a.png"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"store": True}, "store"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"include": ["reasoning.encrypted_content"]}, "include"),
        ({"truncation": "auto"}, "truncation"),
        ({"reasoning": {"summary": "auto"}}, "reasoning.summary"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"n": 2}, "n"),
        ({"messages": []}, "messages"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": "a" * 4001}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "system", "content": "x"}]}, "input"),
        ({"input": [{"role": "user", "content": [IMAGE]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": TIRED}, {"type": "item_reference", "id": "1"}]}, "input[1].type"),
        ({"input": [{"role": "user", "content": "a" * 4001}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": TIRED}, {"type": "function_call"}]}, "input[1].call_id"),
        ({"instructions": 7}, "instructions"),
        ({"user": None}, "user"),
        ({"metadata": "x"}, "metadata"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name_in_openais_shape(
    gateway: Gateway, stub: StubLLM, body: dict[str, Any], param: str
) -> None:
    stub.behave("answer")
    full = {"model": "any", "user": ADA, "input": TIRED, **body}
    answer = httpx.post(f"{gateway.url}/v1/responses", json=full, headers=gateway.headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert stub.received == []


def test_what_is_switched_off_is_no_reason_to_refuse(client: openai.OpenAI, stub: StubLLM) -> None:
    off: dict[str, Any] = {
        "store": False,
        "background": False,
        "previous_response_id": None,
        "include": [],
        "truncation": "disabled",
    }
    assert ask(client, **off, tools=[], reasoning=None).output_text == stub.text


def test_nothing_is_stored_to_be_fetched_or_cancelled(client: openai.OpenAI) -> None:
    given = ask(client)
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError) as none:
            call(given.id)
        assert none.value.code == "unknown_url"
