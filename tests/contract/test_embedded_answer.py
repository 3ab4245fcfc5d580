"""Without a language model every surface restates the prompt's facts; after an emergency nothing does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from starlette.testclient import TestClient

from bentos.personalizer.llm_answer import RESTATED
from models.safety.escalation import ESCALATION
from tests.contract.three_women import ADA, BEA, CLEO

TIRED = "Is it normal to feel this tired?"
BLEEDING = "I am bleeding heavily and soaking a pad an hour, is that normal?"
STILL = "My baby hasn't moved since breakfast."
CLOSING = "Your clinician will answer your question."


@pytest.fixture(scope="module")
def chat(client: TestClient) -> Iterator[openai.OpenAI]:
    """The official client on the service in this process."""
    token = client.headers["authorization"].removeprefix("Bearer ")
    with openai.OpenAI(base_url="http://testserver/v1", api_key=token, http_client=client, max_retries=0) as asking:  # type: ignore[arg-type]
        yield asking


def answer(client: TestClient, patient: str, question: str, **more: Any) -> dict[str, Any]:
    response = client.post("/answer", json={"patient": patient, "question": question, **more})
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_an_answer_states_the_prompts_facts_to_the_patient_and_names_nobody_as_asked(client: TestClient) -> None:
    given = answer(client, ADA, TIRED)
    assert given["llm"] == {
        "model": "embedded-answer", "embedded": True, "seconds": given["llm"]["seconds"], "error": None,
        "asked": False, "restated": True, "findings": [],
    }  # fmt: skip
    assert given["disclaimer"] == RESTATED["en"]
    assert "You are 30 weeks" in given["answer"]
    assert "You are allergic to penicillin V" in given["answer"]
    assert given["answer"].endswith(CLOSING)
    chosen = {s["key"] for s in given["segments"] if s["position"] is not None}
    assert ("Your latest haemoglobin was 9.8 g/dL" in given["answer"]) == ("haemoglobin.latest" in chosen)


def test_the_same_question_gets_the_same_words(client: TestClient) -> None:
    assert answer(client, ADA, TIRED)["answer"] == answer(client, ADA, TIRED)["answer"]


def test_a_chinese_question_is_answered_in_chinese(client: TestClient) -> None:
    given = answer(client, BEA, "我最近总是咳嗽，正常吗？")
    assert given["answer"].endswith("您的医生会回答您的问题。")
    assert given["disclaimer"] == RESTATED["zh"]


def test_of_whom_nothing_is_known_it_is_stated_that_nothing_is(client: TestClient) -> None:
    assert (
        "not known" in answer(client, CLEO, TIRED)["answer"]
        or "on your record" in answer(client, CLEO, TIRED)["answer"]
    )


def test_the_answer_without_the_record_states_nothing_of_it(client: TestClient) -> None:
    plain = client.post("/page/api/plain", json={"patient": ADA, "question": TIRED}).json()
    assert plain["answer"].startswith("Nothing of your record was used here.")
    assert "penicillin" not in plain["answer"]
    assert plain["llm"]["restated"]


def test_an_urgent_sign_comes_before_the_facts(client: TestClient) -> None:
    given = answer(client, ADA, BLEEDING)
    assert given["answer"].startswith(given["escalation"])


def test_after_an_emergency_nothing_is_restated(client: TestClient, chat: openai.OpenAI) -> None:
    given = answer(client, ADA, STILL)
    assert given["answer"] == given["escalation"]
    assert (given["llm"]["asked"], given["llm"]["restated"]) == (False, False)
    stated = chat.chat.completions.create(model="any", messages=[{"role": "user", "content": STILL}], user=ADA)
    assert stated.choices[0].message.content == ESCALATION["en"]["emergency"]


def test_a_chat_gets_the_same_words_whole_and_streamed(client: TestClient, chat: openai.OpenAI) -> None:
    question: Any = [{"role": "user", "content": TIRED}]
    words = answer(client, ADA, TIRED)["answer"]
    whole = chat.chat.completions.create(model="any", messages=question, user=ADA)
    assert (whole.model, whole.choices[0].message.content) == ("embedded-answer", words)
    assert whole.usage is not None
    assert whole.usage.total_tokens == 0
    options: Any = {"include_usage": True}
    chunks = list(chat.chat.completions.create(
        model="any", messages=question, user=ADA, stream=True, stream_options=options
    ))  # fmt: skip
    pieces = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(pieces) == words
    assert len([piece for piece in pieces if piece.strip()]) > 2  # a sentence at a time
    assert chunks[-1].usage is not None


def test_several_choices_are_the_same_words_and_json_is_refused(chat: openai.OpenAI) -> None:
    question: Any = [{"role": "user", "content": TIRED}]
    two = chat.chat.completions.create(model="any", messages=question, user=ADA, n=2)
    assert len({c.message.content for c in two.choices}) == 1
    assert len(two.choices) == 2
    with pytest.raises(openai.BadRequestError, match="no language model is configured"):
        chat.chat.completions.create(model="any", messages=question, user=ADA, response_format={"type": "json_object"})


def test_the_answer_is_explained_and_logged_like_any_other(client: TestClient) -> None:
    given = answer(client, ADA, TIRED)
    explained = client.get(f"/explain/{given['id']}")
    assert explained.status_code == 200
    assert json.loads(explained.text)["id"] == given["id"]
