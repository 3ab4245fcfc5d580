"""Read a response's input, a text or items, as messages of a chat.

Calls of tools become one message of the assistant, as a chat has them, so that the chat's own rules hold for what the
patient wrote since the last answer.
"""

from __future__ import annotations

from typing import Any

from bentos.openai.chat.chat_request import MOST_MESSAGES
from bentos.openai.chat.errors import GatewayError
from bentos.openai.chat.patient_words import read_part_list

FIELD = "input"
ROLES = ("user", "assistant", "system", "developer")
#: Type of a part → the member that holds its text.
TEXT_PARTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
#: Types of items that a chat can say.
ITEMS = ("message", "function_call", "function_call_output")


def read_input(value: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The messages, and what an error calls the content of each; :class:`GatewayError` (400) for what is none."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}], [FIELD]
    if not isinstance(value, list) or not value or len(value) > MOST_MESSAGES:
        raise GatewayError.of_field(FIELD, f"must be a text or a list of 1 to {MOST_MESSAGES} items")
    messages: list[dict[str, Any]] = []
    places: list[str] = []
    for index, item in enumerate(value):
        place = f"{FIELD}[{index}]"
        if not isinstance(item, dict):
            raise GatewayError.of_field(place, "must be an object")
        kind = item.get("type", "message")
        if kind == "message":
            messages.append(_read_message(item, place))
        elif kind == "function_call":
            call = _read_call(item, place)
            if messages and messages[-1]["role"] == "assistant":
                messages[-1].setdefault("tool_calls", []).append(call)
                continue
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind == "function_call_output":
            messages.append(_read_output(item, place))
        else:
            known = ", ".join(ITEMS)
            raise GatewayError.of_field(f"{place}.type", f"must be one of {known}: nothing else reaches a model here")
        places.append(f"{place}.content")
    return messages, places


def _read_message(item: dict[str, Any], place: str) -> dict[str, Any]:
    role = item.get("role")
    if role not in ROLES:
        raise GatewayError.of_field(f"{place}.role", f"must be one of {', '.join(ROLES)}")
    content = item.get("content")
    if isinstance(content, str):
        return {"role": role, "content": content}
    texts = read_part_list(content, f"{place}.content", TEXT_PARTS)
    if role == "user" and len(texts) > 1:  # each is read for itself
        return {"role": role, "content": [{"type": "text", "text": text} for text in texts]}
    return {"role": role, "content": "\n".join(texts)}


def _read_call(item: dict[str, Any], place: str) -> dict[str, Any]:
    for name in ("call_id", "name", "arguments"):
        if not isinstance(item.get(name), str):
            raise GatewayError.of_field(f"{place}.{name}", "must be a text")
    function = {"name": item["name"], "arguments": item["arguments"]}
    return {"id": item["call_id"], "type": "function", "function": function}


def _read_output(item: dict[str, Any], place: str) -> dict[str, Any]:
    if not isinstance(item.get("call_id"), str):
        raise GatewayError.of_field(f"{place}.call_id", "must be a text")
    output = item.get("output")
    text = output if isinstance(output, str) else "\n".join(read_part_list(output, f"{place}.output", TEXT_PARTS))
    return {"role": "tool", "tool_call_id": item["call_id"], "content": text}
