"""Read what the patient wrote in a chat since the last answer.

    words = parts of the user messages behind the last message in which the assistant said something

Only messages of role ``user`` are the patient's. What an application, a tool or a developer writes is no message of
hers: a red flag there raises no alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bentos.openai.chat.errors import GatewayError
from pmlm.api_types import MAX_QUESTION, PersonalizeRequest

#: Types of parts that are text, and the member that holds it.
TEXT_PARTS = {"text": "text", "input_text": "text", "refusal": "refusal"}
#: Characters that the messages since the last answer may have together: all are triaged.
MAX_TURN = 12_000


def read_parts(message: dict[str, Any], place: str) -> list[str]:
    """The texts of a message; :class:`GatewayError` (400) that names a part that cannot be read.

    ``place`` is what the error calls the message's content.
    """
    content = message.get("content")
    if content is None or isinstance(content, str):
        return [content] if content else []
    return [text for text in read_part_list(content, place, TEXT_PARTS) if text]


def read_part_list(content: Any, place: str, members: Mapping[str, str]) -> list[str]:
    """The text of each part; :class:`GatewayError` (400) names a part that cannot be read.

    ``members``: type of a part → the member that holds its text.
    """
    if not isinstance(content, list):
        raise GatewayError.of_field(place, "must be text or a list of parts")
    texts = []
    for number, part in enumerate(content):
        name = members.get(str(part.get("type"))) if isinstance(part, dict) else None
        if name is None or not isinstance(part.get(name), str):
            known = ", ".join(members)
            raise GatewayError.of_field(f"{place}[{number}]", f"must be a part of type {known}: no other can be read")
        texts.append(part[name])
    return texts


def find_turn(messages: list[dict[str, Any]]) -> list[int]:
    """The indices of the user's messages since the last answer, oldest first; empty without any."""
    found: list[int] = []
    for index in range(len(messages) - 1, -1, -1):
        role = messages[index]["role"]
        if role == "user":
            found.append(index)
        elif role == "assistant" and found and _says_something(messages[index]):
            break
    return found[::-1]


def join_question(reference: Any, param: str, field: str, texts: dict[str, str]) -> str:
    """The newest messages of the turn, as many as make one question, by the native API's rules for it.

    ``texts`` are by the place of each, oldest first; ``param`` and ``field`` name where the patient's ``reference``
    and the messages are.
    """
    if sum(map(len, texts.values())) > MAX_TURN:
        raise GatewayError.of_field(field, f"those since the last answer have more than {MAX_TURN} characters")
    for place, text in texts.items():
        if any(map(str.isalnum, text)):
            check_question(reference, param, text, place)
    question = ""
    for text in reversed(texts.values()):
        joined = f"{text}\n{question}" if question else text
        if len(joined) > MAX_QUESTION:
            break
        question = joined
    return check_question(reference, param, question, list(texts)[-1])


def check_question(reference: Any, param: str, question: str, place: str) -> str:
    """The question, by the native API's own rules for it and the patient's reference."""
    try:
        return PersonalizeRequest(patient=reference, question=question).question
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        raise GatewayError.of_field(param if first["loc"][0] == "patient" else place, first["msg"]) from None


def _says_something(message: dict[str, Any]) -> bool:
    """Whether an assistant's message ends a turn: a call of a tool alone does not."""
    content = message.get("content")
    if isinstance(content, list):
        texts = [str(part.get("text") or part.get("refusal") or "") for part in content if isinstance(part, dict)]
        content = "".join(texts)
    return bool(str(content or message.get("refusal") or "").strip())
