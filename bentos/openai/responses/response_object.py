"""Build the object ``response``: its items, how it ended, the tokens used."""

from __future__ import annotations

import time
from typing import Any

from bentos.openai.chat.chat_request import ChatRequest
from bentos.openai.chat.completions import LENGTH

#: Why a chat's choice ended → why a response is incomplete.
INCOMPLETE = {LENGTH: "max_output_tokens", "content_filter": "content_filter"}
DONE, UNDONE, BEGUN = "completed", "incomplete", "in_progress"


def build_response(id_: str, chat: ChatRequest, completion: dict[str, Any], pmlm: dict[str, Any]) -> dict[str, Any]:
    """The whole answer; ``completion`` is checked, and has one choice."""
    [choice] = completion["choices"]
    message, status = choice["message"], find_status(choice["finish_reason"])
    output: list[dict[str, Any]] = []
    if message.get("content"):
        output.append(build_message(id_, message["content"], status))
    for call in message.get("tool_calls") or ():
        output.append(build_call(id_, len(output), call, status))
    described = describe(id_, chat, str(completion["model"]), completion.get("created"), pmlm)
    reason, usage = choice["finish_reason"], convert_usage(completion.get("usage"))
    return described | {"output": output, "usage": usage, **describe_end(reason)}


def describe(id_: str, chat: ChatRequest, model: str, created: int | None, pmlm: dict[str, Any]) -> dict[str, Any]:
    """A response that has begun: who answers, and what it repeats of the request."""
    return {
        "id": id_,
        "object": "response",
        "created_at": created or int(time.time()),
        "status": BEGUN,
        "background": False,
        "error": None,
        "incomplete_details": None,
        **chat.echo,
        "metadata": {},
        "model": model,
        "output": [],
        "previous_response_id": None,
        "store": False,
        "usage": None,
        "pmlm": pmlm,
    }


def find_status(finish: str | None) -> str:
    """Whether an answer that ended so is whole."""
    return UNDONE if finish in INCOMPLETE else DONE


def describe_end(finish: str | None) -> dict[str, Any]:
    """The members that say how an answer ended."""
    reason = INCOMPLETE.get(finish or "")
    return {"status": find_status(finish), "incomplete_details": {"reason": reason} if reason else None}


def build_message(id_: str, text: str, status: str) -> dict[str, Any]:
    """The item of a message; without a text, one that has just begun."""
    content = [build_text(text)] if text else []
    return {"id": f"msg_{id_}", "type": "message", "role": "assistant", "status": status, "content": content}


def build_text(text: str) -> dict[str, Any]:
    """A message's one part."""
    return {"type": "output_text", "text": text, "annotations": []}


def build_call(id_: str, index: int, call: dict[str, Any], status: str) -> dict[str, Any]:
    """The item of a tool's call, the answer's number ``index``."""
    function = call["function"]
    return {
        "id": f"fc_{id_}_{index}",
        "type": "function_call",
        "call_id": call["id"],
        "name": function["name"],
        "arguments": function["arguments"],
        "status": status,
    }


def convert_usage(usage: dict[str, Any] | None) -> dict[str, Any] | None:
    """A chat's usage as a response's; None where the model's server has not counted both ways."""
    counts = usage or {}
    given, written = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if type(given) is not int or type(written) is not int:
        return None
    read, wrote = counts.get("prompt_tokens_details"), counts.get("completion_tokens_details")
    return {
        "input_tokens": given,
        "input_tokens_details": {name: _read_detail(read, name) for name in ("cached_tokens", "cache_write_tokens")},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": _read_detail(wrote, "reasoning_tokens")},
        "total_tokens": given + written,
    }


def _read_detail(details: Any, name: str) -> int:
    """A part of a count; 0 where the server names none, since the shape has no other word for it."""
    count = details.get(name) if isinstance(details, dict) else None
    return count if type(count) is int else 0
