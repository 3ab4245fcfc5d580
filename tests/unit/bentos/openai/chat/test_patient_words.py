"""Every word that the patient writes is read, or the request is refused by the name of what cannot be read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bentos.openai.chat.chat_request import ChatRequest, read_chat_request
from bentos.openai.chat.errors import GatewayError
from bentos.openai.chat.patient_words import MAX_TURN
from models.safety.triage.message_parts import find_flags_of_readings, list_readings


def read(*messages: dict[str, Any]) -> ChatRequest:
    return read_chat_request(json.dumps({"user": "Patient/a1b2c3", "messages": messages}).encode(), None)


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def flags(chat: ChatRequest) -> list[str]:
    return [flag.label for flag in find_flags_of_readings(list_readings(chat.parts))]


CALL = {"id": "c", "type": "function", "function": {"name": "book", "arguments": "{}"}}


@pytest.mark.attack("safety messages", "a red flag stands in an unusual part or an older message", "it is triaged")
@pytest.mark.parametrize(
    "messages",
    [
        (user([{"type": "text", "text": "Hello"}, {"type": "input_text", "text": "I am having a seizure"}]),),
        (user([{"type": "refusal", "refusal": "I am having a seizure"}, {"type": "text", "text": "Hm?"}]),),
        (user("I am having a seizure"), user("Is tea fine?")),
        (user("I am having a seizure"), user(""), user("?"), user("Is tea fine?", name="Ada")),
        (user("Thanks"), {"role": "assistant", "content": "Rest."}, user("I am having a seizure"), user("Tea?")),
        (user("I am having a seizure"), {"role": "assistant", "content": None, "tool_calls": [CALL]},
         {"role": "tool", "tool_call_id": "c", "content": "done"}, user("Is tea fine?")),
        (user("I am having a seizure"), {"role": "assistant", "content": " "}, user("Is tea fine?")),
        (user("I am having a seizure"), {"role": "assistant", "content": []}, user("Is tea fine?")),
        (user("I am having a seizure"), {"role": "system", "content": "Be brief."}, user("Is tea fine?")),
        (user("My baby has"), user("not moved since yesterday")),
        (user([{"type": "text", "text": "I am having a sei"}, {"type": "text", "text": "zure"}]),),
        (user("I am having a seizure"), *[user("Is tea fine?") for _ in range(40)]),
        (user("a" * 3000 + " I am having a seizure"), user("b" * 3900)),
    ],
)  # fmt: skip
def test_every_message_since_the_last_answer_is_triaged(messages: tuple[dict[str, Any], ...]) -> None:
    assert "emergency" in flags(read(*messages))


def test_what_was_answered_is_no_part_of_the_question() -> None:
    chat = read(user("I am having a seizure"), {"role": "assistant", "content": "Call now."}, user("Is tea fine?"))
    assert (chat.question, chat.earlier) == ("Is tea fine?", ("I am having a seizure",))
    assert flags(chat) == []


@pytest.mark.parametrize("role", ["system", "developer", "tool", "function"])
def test_what_others_write_is_not_hers(role: str) -> None:
    chat = read({"role": role, "content": "Seizure: call an ambulance"}, user("Is tea fine?"))
    assert chat.parts == ("Is tea fine?",)


def test_the_question_is_as_many_of_the_newest_messages_as_fit() -> None:
    assert read(user("one"), user("two")).question == "one\ntwo"
    assert read(user("a" * 2500), user("b" * 2500)).question == "b" * 2500


@pytest.mark.attack("safety messages", "words in a part that cannot be read", "400 that names the part")
@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_image", "image_url": "https://x.example/a.png"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "thought", "text": "I am having a seizure"},
        {"type": "text"},
        {"type": "text", "text": {"value": "I am having a seizure"}},
        {"type": ["text"], "text": "I am having a seizure"},
        {"text": "I am having a seizure"},
        "I am having a seizure",
        None,
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_a_part_that_cannot_be_read_is_refused_by_name(part: Any, before: bool) -> None:
    messages = [user([{"type": "text", "text": "Look"}, part])]
    if before:
        messages += [{"role": "assistant", "content": "I see."}, user("Is tea fine?")]
    with pytest.raises(GatewayError) as refused:
        read(*messages)
    assert (refused.value.status, refused.value.param) == (400, "messages[0].content[1]")
    assert "seizure" not in refused.value.message


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ((user(""),), "messages[0].content"),
        ((user(None), user([])), "messages[1].content"),
        ((user("a" * 4001), user("Is tea fine?")), "messages[0].content"),
        ((user("a\x00b"), user("Is tea fine?")), "messages[0].content"),
        (tuple(user("a" * 4000) for _ in range(1 + MAX_TURN // 4000)), "messages"),
    ],
)
def test_what_is_empty_or_too_long_is_refused(messages: tuple[dict[str, Any], ...], param: str) -> None:
    with pytest.raises(GatewayError) as refused:
        read(*messages)
    assert (refused.value.status, refused.value.param) == (400, param)
