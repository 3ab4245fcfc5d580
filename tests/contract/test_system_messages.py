"""One system message reaches the language model, or several where the clinic has set so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.contract.openai_server import serve
from tests.contract.stub_llm import StubLLM
from tests.contract.three_women import ADA

if TYPE_CHECKING:
    from conftest import ClientFactory

    from pmlm.settings import Settings

TIRED = "Is it normal to feel this tired?"


@pytest.fixture(scope="module")
def client(client_of: ClientFactory, settings: Settings, stub: StubLLM) -> Iterator[openai.OpenAI]:
    with serve(settings, llm_base_url=stub.url, llm_model="stub", llm_timeout_s="10") as running:
        yield running.openai


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_whose_template_refuses_a_second_system_message_gets_one(
    client: openai.OpenAI, stub: StubLLM, stream: bool
) -> None:
    stub.behave("strict")
    messages: list[dict[str, str]] = [
        {"role": "system", "content": "You are the clinic's assistant."},
        {"role": "user", "content": TIRED},
        {"role": "developer", "content": "Answer in two sentences."},
    ]
    asked: dict[str, Any] = {"model": "any", "user": ADA, "messages": messages}
    if stream:
        chunks = client.chat.completions.create(**asked, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == stub.text
    else:
        assert client.chat.completions.create(**asked).choices[0].message.content == stub.text
    [sent] = stub.received
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert "penicillin V" in sent["messages"][0]["content"]
    assert sent["messages"][0]["content"].endswith("You are the clinic's assistant.\n\nAnswer in two sentences.")


def test_a_setting_leaves_the_applications_system_messages_where_they_are(
    client_of: ClientFactory, stub: StubLLM
) -> None:
    stub.behave("answer")
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TIRED}]
    own = client_of(llm_base_url=stub.url, llm_model="stub", llm_system_message="separate")
    assert own.post("/v1/chat/completions", json={"user": ADA, "messages": messages}).status_code == 200
    [sent] = stub.received
    assert "penicillin V" in sent["messages"][0]["content"]
    assert sent["messages"][1:] == messages
