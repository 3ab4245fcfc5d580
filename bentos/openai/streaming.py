"""A language model's stream, sentence by sentence through the check; and its end only when it was whole.

The chunk that says why an answer ended, usage and ``[DONE]`` are held until the model's own ``[DONE]`` has come. A
stream that breaks, or is none, ends with an error event and without them: no part of an answer looks like all of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from bentos.openai.completions import UNCHECKED, Check, Shown
from bentos.openai.errors import UpstreamError
from bentos.openai.sentence_buffer import Sentences
from bentos.openai.sse import event, parsed
from bentos.openai.upstream_client import Answering
from bentos.personalizer.llm_answer import WITHHELD
from pmlm.api_types import Language


@dataclass(slots=True)
class Chunks:
    """Makes the chunks of one answer; the first one carries what PMLM says of it."""

    id: str
    model: str
    ours: dict[str, Any] | None
    created: int = field(default_factory=lambda: int(time.time()))

    def of(self, index: int, delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> bytes:
        choice: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": finish}
        if logprobs is not None:
            choice["logprobs"] = logprobs
        return self._event([choice])

    def usage(self, value: dict[str, Any]) -> bytes:
        return self._event([], usage=value)

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        head = {"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model}
        ours, self.ours = self.ours, None
        return event({**head, "choices": choices, **more, **({"pmlm": ours} if ours else {})})


@dataclass(slots=True)
class _Choice:
    """One choice of a stream under way."""

    gate: Sentences
    begun: bool = False
    finish: str | None = None
    logprobs: list[Any] = field(default_factory=list)
    said: bool = False


class Spoken:
    """The stream of a question without a red flag."""

    def __init__(self, chunks: Chunks, check: Check, language: Language, shown: Shown) -> None:
        self._chunks = chunks
        self._check = check
        self._language = language
        self._shown = shown
        self._choices: dict[int, _Choice] = {}
        self._usage: dict[str, Any] | None = None

    async def events(self, answering: Answering, until: float) -> AsyncIterator[bytes]:
        """Our chunks up to the last sentence; raises :class:`UpstreamError` or ``TimeoutError`` where it breaks."""
        values = parsed(answering.chunks())
        while True:
            async with asyncio.timeout_at(until):
                value = await anext(values, None)
            if value is None:
                break
            self._chunks.model = str(value.get("model") or self._chunks.model)
            if isinstance(value.get("usage"), dict):
                self._usage = value["usage"]
            for told in value["choices"]:
                for ours in self._heard(told):
                    yield ours
        self._must_be_whole()

    def end(self) -> list[bytes]:
        """The chunks that say that the answer is whole; to be sent last, before ``[DONE]``."""
        ends = [self._chunks.of(i, {}, choice.finish) for i, choice in sorted(self._choices.items())]
        return [*ends, self._chunks.usage(self._usage)] if self._usage else ends

    def _heard(self, told: Any) -> list[bytes]:
        if not isinstance(told, dict) or type(told.get("index", 0)) is not int:
            raise UpstreamError("malformed")
        index, delta = told.get("index", 0), told.get("delta") or {}
        if not isinstance(delta, dict) or not isinstance(delta.get("content"), (str, type(None))):
            raise UpstreamError("malformed")
        choice = self._choices.setdefault(index, _Choice(Sentences(self._check)))
        if choice.gate.findings:
            return []
        if isinstance(logprobs := (told.get("logprobs") or {}), dict):
            choice.logprobs += logprobs.get("content") or []
        others = {k: v for k, v in delta.items() if k not in ("content", "role", *UNCHECKED) and v is not None}
        ours = self._released(index, choice, choice.gate.feed(delta.get("content") or ""))
        finish = told.get("finish_reason")
        if (others or finish) and not choice.gate.findings:
            ours += self._released(index, choice, choice.gate.rest())
        if choice.gate.findings:
            return [*ours, *self._withheld(index, choice)]
        if others:
            ours.append(self._chunks.of(index, self._opening(choice) | others))
            choice.said = True
        if finish:
            choice.finish = str(finish)
        return ours

    def _released(self, index: int, choice: _Choice, text: str) -> list[bytes]:
        if not text:
            return []
        logprobs, choice.logprobs = choice.logprobs, []
        choice.said = choice.said or bool(text.strip())
        if index == 0:
            self._shown.text += text
        delta = self._opening(choice) | {"content": text}
        return [self._chunks.of(index, delta, logprobs={"content": logprobs} if logprobs else None)]

    def _withheld(self, index: int, choice: _Choice) -> list[bytes]:
        """What stands in place of the sentence that the check objects to and of all that follows it."""
        choice.finish = "content_filter"
        self._shown.findings = sorted({*self._shown.findings, *choice.gate.findings})
        text = ("\n\n" if choice.said else "") + WITHHELD[self._language]
        choice.said = True
        if index == 0:
            self._shown.text += text
        return [self._chunks.of(index, self._opening(choice) | {"content": text})]

    def _opening(self, choice: _Choice) -> dict[str, Any]:
        opening, choice.begun = ({} if choice.begun else {"role": "assistant"}), True
        return opening

    def _must_be_whole(self) -> None:
        if not self._choices or any(choice.finish is None for choice in self._choices.values()):
            raise UpstreamError("truncated")
        if any(choice.finish == "stop" and not choice.said for choice in self._choices.values()):
            raise UpstreamError("empty")


def told(chunks: Chunks, choices: list[dict[str, Any]], usage: dict[str, Any] | None, said: str = "") -> list[bytes]:
    """A whole answer as a stream. ``said`` is what each choice's text begins with and was sent already."""
    events = []
    for choice in choices:
        message = dict(choice["message"])
        content = (message.pop("content", None) or "").removeprefix(said)
        opening = {} if said else {"role": "assistant"}
        others = {k: v for k, v in message.items() if k != "role" and v is not None and k != "tool_calls"}
        if message.get("tool_calls"):
            others["tool_calls"] = [{"index": i, **call} for i, call in enumerate(message["tool_calls"])]
        if content or others:
            events.append(chunks.of(choice["index"], opening | ({"content": content} if content else {}) | others))
    events += [chunks.of(choice["index"], {}, choice["finish_reason"]) for choice in choices]
    return [*events, chunks.usage(usage)] if usage else events
