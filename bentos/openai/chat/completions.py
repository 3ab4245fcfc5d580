"""Check a language model's whole answer, and put it together with an escalation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bentos.llm.errors import UpstreamError
from bentos.llm.replies import calls_tools
from bentos.llm.upstreams import Upstream
from bentos.openai.answer_fields.shown_fields import (
    read_shown,
    select_finish,
    select_message,
    take_logprobs,
)
from bentos.openai.chat.chat_request import ChatRequest
from bentos.personalizer.llm_answer import FAILED, LONGEST_TEXT, WITHHELD
from pmlm.api_types import Language

LENGTH = "length"  # OpenAI's reason for an answer that was cut off

Check = Callable[[str], Sequence[str]]


@dataclass(slots=True)
class AnswerOutcome:
    """How an answer went, for the record: model, text of its first choice, findings, failure, tokens used.

    ``asked``: something besides the escalation is to answer; ``restated``: facts restated are, and no model.
    """

    model: str
    embedded: bool = False
    asked: bool = True
    restated: bool = False
    text: str = ""
    error: str | None = None
    findings: list[str] = field(default_factory=list)
    usage: dict[str, Any] | None = None

    def note_upstream(self, upstream: Upstream) -> None:
        """Note who is asked."""
        self.model, self.embedded, self.restated = upstream.name, upstream.embedded, upstream.restates

    def add_findings(self, findings: Sequence[str]) -> None:
        self.findings = sorted({*self.findings, *findings})


def check_choices(
    completion: dict[str, Any], check: Check, language: Language, outcome: AnswerOutcome
) -> list[dict[str, Any]]:
    """The choices to show; words say so in place of one that fails the check."""
    choices = []
    for index, choice in enumerate(completion["choices"]):
        message = select_message(choice["message"])
        passed: dict[str, Any] = {
            "index": index,
            "message": message,
            "finish_reason": select_finish(choice["finish_reason"]),
        }
        if len(message.get("content") or "") > LONGEST_TEXT:
            message["content"], passed["finish_reason"] = message["content"][:LONGEST_TEXT], LENGTH
        shown = read_shown(message)
        if len(shown) > 2 * LONGEST_TEXT:  # what a tool is called with cannot be cut
            raise UpstreamError("truncated")
        findings = check(shown)
        if findings:
            passed["message"] = {"role": "assistant", "content": WITHHELD[language]}
            passed["finish_reason"] = "content_filter"
            outcome.add_findings(findings)
        elif isinstance(given := choice.get("logprobs"), dict) and isinstance(given.get("content"), list):
            taken, _ = take_logprobs(given["content"], message.get("content") or "")
            passed["logprobs"] = {"content": taken} if taken else None
        choices.append(passed)
    outcome.text = str(choices[0]["message"].get("content") or "")
    return choices


def add_escalation(
    choices: list[dict[str, Any]] | None, escalation: str, language: Language, *, asked: bool, count: int
) -> list[dict[str, Any]]:
    """Put the escalation before each choice; without an answer (None), say so ``count`` times.

    It stands alone where no language model was ``asked``, and in place of a tool call: a plain message, never JSON.
    """
    if choices is None:
        text = f"{escalation}\n\n{FAILED[language]}" if asked else escalation
        return [_plain_choice(index, text) for index in range(count)]
    return [_escalate_choice(choice, escalation) for choice in choices]


def _escalate_choice(choice: dict[str, Any], escalation: str) -> dict[str, Any]:
    message = choice["message"]
    if calls_tools(message) or not (message.get("content") or "").strip():
        return _plain_choice(choice["index"], escalation)
    content = f"{escalation}\n\n{message['content']}"
    return {k: v for k, v in choice.items() if k != "logprobs"} | {"message": message | {"content": content}}


def _plain_choice(index: int, content: str) -> dict[str, Any]:
    return {"index": index, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}


def build_completion(id_: str, chat: ChatRequest, completion: dict[str, Any], pmlm: dict[str, Any]) -> dict[str, Any]:
    """The answer to a chat in OpenAI's shape, with the member ``pmlm``."""
    return {"id": id_, "object": "chat.completion", **completion, "pmlm": pmlm}
