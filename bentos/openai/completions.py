"""A language model's whole answer: understood, checked, and put together with the escalation where there is one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bentos.openai.errors import UpstreamError
from bentos.openai.sse import no_number
from bentos.personalizer.llm_answer import FAILED, WITHHELD
from pmlm.api_types import Language

#: What of a completion is passed on; an upstream may echo its prompt elsewhere.
PASSED = ("created", "model", "usage", "system_fingerprint", "service_tier")
#: Texts beside the answer that are meant to be hidden and cannot be checked as an answer.
UNCHECKED = ("reasoning", "reasoning_content", "audio")

Check = Callable[[str], Sequence[str]]


@dataclass(slots=True)
class Shown:
    """How one request's answer went, for the record: the text of its first choice, findings, and what failed."""

    model: str
    embedded: bool = False
    text: str = ""
    error: str | None = None
    findings: list[str] = field(default_factory=list)


def understood(raw: bytes) -> dict[str, Any]:
    """A completion with at least one whole choice; :class:`UpstreamError` ``malformed``, ``truncated``, ``empty``."""
    try:
        value = json.loads(raw, parse_constant=no_number)
    except (ValueError, RecursionError):
        raise UpstreamError("malformed") from None
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or not choices:
        raise UpstreamError("malformed")
    for choice in choices:
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict) or not isinstance(message.get("content"), (str, type(None))):
            raise UpstreamError("malformed")
        if not isinstance(choice.get("finish_reason"), str):
            raise UpstreamError("truncated")
        says_nothing = not (message.get("content") or "").strip() and not calls_tools(message)
        if says_nothing and choice["finish_reason"] == "stop" and not message.get("refusal"):
            raise UpstreamError("empty")
    return value


def calls_tools(message: dict[str, Any]) -> bool:
    """Whether a message asks the application to run something."""
    return bool(message.get("tool_calls") or message.get("function_call"))


def checked(value: dict[str, Any], check: Check, language: Language, shown: Shown) -> list[dict[str, Any]]:
    """The choices as they may be shown: what the check objects to is replaced by words that say so."""
    choices = []
    for place, choice in enumerate(value["choices"]):
        message = {name: told for name, told in choice["message"].items() if name not in UNCHECKED}
        passed = {"index": place, "message": message, "finish_reason": choice["finish_reason"]}
        findings = check(message.get("content") or "")
        if findings:
            passed["message"] = {"role": "assistant", "content": WITHHELD[language]}
            passed["finish_reason"] = "content_filter"
            shown.findings = sorted({*shown.findings, *findings})
        elif "logprobs" in choice:
            passed["logprobs"] = choice["logprobs"]
        choices.append(passed)
    shown.text = str(choices[0]["message"].get("content") or "")
    return choices


def escalated(
    choices: list[dict[str, Any]] | None, escalation: str, language: Language, *, alone: bool, many: int
) -> list[dict[str, Any]]:
    """The choices behind the escalation text. ``choices`` None: the model failed, which is said.

    ``alone``: the application wants structured output, in which the text has no place. It then stands alone, as it
    does in place of a tool call: a plain message, never inside JSON.
    """
    if choices is None:
        said = escalation if alone else f"{escalation}\n\n{FAILED[language]}"
        return [_plain(index, said) for index in range(many)]
    found = []
    for choice in choices:
        message = choice["message"]
        if alone or calls_tools(message) or not (message.get("content") or "").strip():
            found.append(_plain(choice["index"], escalation))
        else:
            content = f"{escalation}\n\n{message['content']}"
            found.append(
                {k: v for k, v in choice.items() if k != "logprobs"} | {"message": message | {"content": content}}
            )
    return found


def _plain(index: int, content: str) -> dict[str, Any]:
    return {"index": index, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}


def completion(id_: str, value: dict[str, Any], choices: list[dict[str, Any]], ours: dict[str, Any]) -> dict[str, Any]:
    """The answer in OpenAI's shape, with what PMLM says of it under ``pmlm``."""
    passed = {name: value[name] for name in PASSED if value.get(name) is not None}
    return {"id": id_, "object": "chat.completion", **passed, "choices": choices, "pmlm": ours}
