"""A language model's stub behind the served gateway, and the official client asking ``/v1/responses``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import openai
import pytest

from bentos.openai import app as mounted
from tests.contract.openai_server import Gateway, serve
from tests.contract.stub_llm import StubLLM
from tests.contract.three_women import ADA

if TYPE_CHECKING:
    from conftest import ClientFactory

    from pmlm.settings import Settings

TIRED = "Is it normal to feel this tired?"


@pytest.fixture(scope="module")
def gateway(client_of: ClientFactory, settings: Settings, stub: StubLLM) -> Iterator[Gateway]:
    with serve(settings, llm_base_url=stub.url, llm_model="stub", llm_timeout_s="10") as running:
        yield running


@pytest.fixture
def client(gateway: Gateway, stub: StubLLM) -> openai.OpenAI:
    """The model answers, and is not remembered as failing."""
    stub.behave("answer")
    for served in mounted._gateways.values():
        for upstream in served._llm._upstreams:
            upstream.breaker.record_success()
    return gateway.openai


def ask(client: openai.OpenAI, question: Any = TIRED, **more: Any) -> Any:
    return client.responses.create(**{"model": "any", "user": f"Patient/{ADA}", "input": question, **more})
