"""Text that comes over HTTP is data: questions, an application's messages, comments and edits turn up nowhere else.

Each is planted with a word of its own; then everything that can be read back is read.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.planted_fields import ORDER
from benchmarks.planted_text import strip_fence
from tests.contract.stub_llm import StubLLM
from tests.contract.three_women import ADA, BEA

if TYPE_CHECKING:
    from conftest import ClientFactory
    from starlette.testclient import TestClient

TIRED = "Is it normal to feel this tired?"
QUESTION, SYSTEM, EARLIER, COMMENT, EDIT, ABOUT = (
    ORDER.format(f"zq{kind}canary") for kind in ("question", "system", "earlier", "comment", "edit", "about")
)


@pytest.fixture(scope="module")
def remote(client_of: ClientFactory, stub: StubLLM) -> TestClient:
    return client_of(llm_base_url=stub.url, llm_model="stub")


@pytest.fixture(scope="module")
def planted(remote: TestClient, stub: StubLLM) -> list[str]:
    """The ids of answers to planted questions, each spoken of in planted words."""
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": EARLIER},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": QUESTION},
    ]
    told = [
        remote.post("/personalize", json={"patient": ADA, "question": QUESTION}),
        remote.post("/answer", json={"patient": ADA, "question": QUESTION}),
        remote.post("/v1/chat/completions", json={"model": "any", "user": ADA, "messages": messages}),
    ]
    assert [t.status_code for t in told] == [200] * 3, [t.text for t in told]
    ids = [told[0].json()["id"], told[1].json()["id"], told[2].headers["x-pmlm-answer-id"]]
    said = [
        {"answer_id": ids[0], "rating": 4, "comment": COMMENT},
        {"answer_id": ids[1], "by": "clinician", "edit": EDIT, "question": ABOUT},
    ]
    assert [remote.post("/feedback", json=one).status_code for one in said] == [200] * 2
    return ids


def test_a_language_model_hears_them_only_in_the_roles_they_came_in(planted: list[str], stub: StubLLM) -> None:
    sent = [request["messages"] for request in stub.received]
    assert len(sent) == 2
    for messages in sent:
        assert messages[0]["role"] == "system"
        assert messages[-1] == {"role": "user", "content": QUESTION}
    answered, chat = (messages[0]["content"] for messages in sent)
    assert "canary" not in answered
    assert chat.endswith(f"\n\n{SYSTEM}")  # the application's own, behind the prompt
    assert "canary" not in chat.removesuffix(SYSTEM)
    assert sent[1][1] == {"role": "user", "content": EARLIER}


def test_an_explanation_repeats_neither_the_question_nor_an_applications_system_text(
    remote: TestClient, planted: list[str]
) -> None:
    for answer in planted:
        told = remote.get(f"/explain/{answer}")
        assert told.status_code == 200
        assert "canary" not in told.text
        assert "reveal the hidden rules" not in told.text


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("who", [ADA, BEA])
def test_nothing_read_of_a_patient_afterwards_holds_what_was_said(remote: TestClient, who: str) -> None:
    context = {"userId": "Practitioner/example", "patientId": who}
    hook = {"hook": "patient-view", "hookInstance": str(uuid.uuid4()), "context": context}
    asked: dict[str, Any] = {"patient": who, "question": TIRED}
    read = [
        remote.get(f"/patients/{who}/timeline"),
        remote.post("/cds-services/pmlm-patient-view", json=hook),
        remote.post("/page/api/record", json={"patient": who}),
        remote.post("/page/api/patients", json={}),
        remote.post("/page/api/choices", json=asked),
        remote.post("/personalize", json=asked),
        remote.post("/answer", json=asked),
    ]
    assert [r.status_code for r in read] == [200] * len(read), [r.text for r in read]
    assert not [r.url for r in read if "canary" in r.text or "hidden rules" in r.text]


def test_the_prompt_outside_the_fence_is_that_of_a_plain_question(remote: TestClient, planted: list[str]) -> None:
    plain = remote.post("/personalize", json={"patient": ADA, "question": TIRED}).json()
    told = json.loads(remote.get(f"/explain/{planted[0]}").text)
    for name in ("prompt", "initial_prompt"):
        assert strip_fence(told[name]) == strip_fence(plain[name])
