"""A GGUF file answers in this process in place of the embedded answer; the small model only where it is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from bentos.personalizer.llm_answer import DISCLAIMERS
from models.llm import DISCLAIMER, find_packaged_gguf
from tests.contract.conftest import ClientFactory
from tests.contract.three_women import ADA

TIRED = "Is it normal to feel this tired?"


def chat(client: TestClient, **more: Any) -> dict[str, Any]:
    """A chat of few tokens: what is tested is who writes, not what."""
    body = {"model": "any", "user": ADA, "max_tokens": 12, "messages": [{"role": "user", "content": TIRED}], **more}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


@pytest.fixture(scope="module")
def own(client_of: ClientFactory, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """A service whose model is a file of the clinic's own."""
    path: Path = tmp_path_factory.mktemp("models") / "clinic-own.gguf"
    path.symlink_to(find_packaged_gguf())
    return client_of(llm_model=str(path), llm_timeout_s="60")


def test_a_file_answers_under_its_own_name_and_no_path_is_shown(own: TestClient) -> None:
    given = chat(own)
    assert given["model"] == "clinic-own.gguf"
    assert given["choices"][0]["message"]["content"]
    assert given["usage"]["completion_tokens"] > 0
    assert given["pmlm"]["disclaimer"] == DISCLAIMERS["en"]
    assert [m["id"] for m in own.get("/v1/models").json()["data"]] == ["clinic-own.gguf"]


def test_after_an_emergency_the_file_is_not_asked(own: TestClient) -> None:
    given = chat(own, messages=[{"role": "user", "content": "My baby hasn't moved since breakfast."}])
    assert given["usage"]["completion_tokens"] == 0


def test_the_small_model_answers_where_it_is_named_and_says_what_it_is(client_of: ClientFactory) -> None:
    given = chat(client_of(llm_model="smollm2-135m-instruct", llm_timeout_s="60"))
    assert given["model"].lower().startswith("smollm2-135m")
    assert given["pmlm"]["disclaimer"] == DISCLAIMER["en"]
