"""What is understood of a chat request, and that nothing that names a person is forwarded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentos.openai.chat.anonymous_body import ANONYMOUS
from bentos.openai.chat.chat_request import (
    MOST_CHOICES,
    ChatRequest,
    build_body,
    encode_anonymous,
    read_chat_request,
)
from bentos.openai.chat.errors import GatewayError


def request(**more: Any) -> bytes:
    return json.dumps({"user": "Patient/a1b2c3", "messages": [{"role": "user", "content": "Tired?"}], **more}).encode()


def sent(read: ChatRequest) -> str:
    return encode_anonymous(build_body(read, "PROMPT", "m", stream=read.stream), read.reference).decode()


def test_her_messages_since_the_last_answer_are_one_question_and_earlier_ones_are_known_newest_first() -> None:
    roles = ("user", "assistant", "user", "assistant", "user", "tool", "user", "assistant")
    messages = [{"role": role, "content": f"{role} {i}"} for i, role in enumerate(roles)]
    read = read_chat_request(request(messages=messages), None)
    assert read.question == "user 4\nuser 6"
    assert read.parts == ("user 4", "user 6")
    assert read.earlier == ("user 2", "user 0")


#: What an application may write beside the patient's words.
OWN = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": [{"type": "text", "text": "Hm?"}]},
    {"role": "assistant", "content": "Yes?"},
    {"role": "developer", "content": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "No lists."}]},
    {"role": "system", "content": ""},
    {"role": "user", "content": "Tired?"},
]


def test_the_prompt_and_the_applications_system_messages_become_one_in_front() -> None:
    read = read_chat_request(request(messages=OWN, top_k=3, logit_bias={"1": 2}), None)
    body = json.loads(sent(read))
    assert body["messages"] == [
        {"role": "system", "content": "PROMPT\n\nBe kind.\n\nBe brief.\nNo lists."}, OWN[1], OWN[2], OWN[5]
    ]  # fmt: skip
    assert (body["top_k"], body["logit_bias"], body["model"]) == (3, {"1": 2}, "m")
    assert read.own_messages == [{"role": "system", "content": "Be kind.\n\nBe brief.\nNo lists."}, *read.messages]


def test_without_merging_the_prompt_goes_in_front_and_everything_else_stays_as_it_was() -> None:
    read = read_chat_request(request(messages=OWN, top_k=3), None, merge=False)
    assert json.loads(sent(read))["messages"] == [{"role": "system", "content": "PROMPT"}, *OWN]
    assert read.own_messages == OWN


def test_a_system_message_that_cannot_be_merged_is_refused_by_name() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    messages = [{"role": "user", "content": "Tired?"}, {"role": "system", "content": [image]}]
    with pytest.raises(GatewayError) as refused:
        read_chat_request(request(messages=messages), None)
    assert refused.value.param == "messages[1].content[0]"
    assert read_chat_request(request(messages=messages), None, merge=False).messages == messages


@pytest.mark.parametrize(
    "reference",
    ["Patient/a1b2c3", "a1b2c3", "urn:uuid:a1b2c3", "https://ehr.example/fhir/Patient/a1b2c3", "subject:987654"],
)
def test_a_reference_is_taken_out_wherever_an_application_wrote_it(reference: str) -> None:
    bare = reference.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    text = f"She is {reference}; ({bare}), Patient/{bare}. But {bare}x and 1{bare} are others."
    messages = [{"role": "system", "content": text}, {"role": "user", "content": "Tired?"}]
    forwarded = sent(read_chat_request(request(user=reference, messages=messages), None))
    assert f"{bare}x and 1{bare}" in forwarded
    assert bare not in forwarded.replace(f"{bare}x", "").replace(f"1{bare}", "")


def test_an_ordinary_word_is_no_reference_unless_it_is_written_as_one() -> None:
    messages = [{"role": "user", "content": "Is ada in Patient/ada?"}]
    assert f"Is ada in {ANONYMOUS}?" in sent(read_chat_request(request(user="Patient/ada", messages=messages), None))


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=80).map(lambda t: json.dumps({"messages": t}).encode()))
def test_no_bytes_whatever_are_more_than_refused(raw: bytes) -> None:
    with pytest.raises(GatewayError) as refused:
        read_chat_request(raw, None)
    assert refused.value.status == 400
    assert refused.value.body["error"]["message"]


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["messages", "user", "metadata", "n", "stream", "response_format", "max_tokens", "model", "tools"]),
)
def test_a_field_of_any_shape_is_taken_or_refused_by_name(value: Any, field: str) -> None:
    try:
        read = read_chat_request(request(**{field: value}), None)
    except GatewayError:
        return
    json.loads(sent(read))
    assert 1 <= read.choices <= MOST_CHOICES
