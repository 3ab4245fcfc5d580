"""Show a language model's stream sentence by sentence, each checked first.

What says why an answer ended, usage and the end itself wait for the model's own ``[DONE]``. A stream that breaks, or
is none, ends with an error event and without them: no part of an answer looks like all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bentos.llm.embedded_answer import RestatedReply
from bentos.llm.errors import UpstreamError
from bentos.llm.replies import parse_events
from bentos.llm.upstream_client import UpstreamReply, deadline_at
from bentos.openai.answer_fields.shown_fields import (
    decode_escapes,
    read_shown,
    select_finish,
    select_usage,
    take_logprobs,
)
from bentos.openai.answer_fields.tool_calls import ToolCallFragments
from bentos.openai.chat.completions import LENGTH, AnswerOutcome, Check
from bentos.openai.streaming.answer_writer import AnswerWriter
from bentos.openai.streaming.sentence_buffer import SentenceBuffer
from bentos.personalizer.llm_answer import LONGEST_TEXT, WITHHELD
from pmlm.api_types import Language

T = TypeVar("T")


@dataclass(slots=True)
class _StreamedChoice:
    """One choice of a stream under way; ``shown`` is whether anything of it was."""

    buffer: SentenceBuffer
    begun: bool = False
    finish: str | None = None
    logprobs: list[Any] = field(default_factory=list)
    calls: ToolCallFragments = field(default_factory=ToolCallFragments)
    shown: bool = False
    room: int = LONGEST_TEXT

    def take(self, text: str) -> str:
        """As much of the text as an answer may have."""
        taken = text[: self.room]
        self.room = self.room - len(taken) if len(taken) == len(text) else -1
        return taken

    def is_cut(self) -> bool:
        """Whether more has come than an answer may have."""
        return self.room < 0

    def opening(self) -> dict[str, Any]:
        """What the delta to come opens with."""
        opening, self.begun = ({} if self.begun else {"role": "assistant"}), True
        return opening


class SentenceStream:
    """The stream of a question without a red flag."""

    def __init__(
        self, writer: AnswerWriter, check: Check, language: Language, outcome: AnswerOutcome, count: int = 1
    ) -> None:
        self._count = count
        self._writer = writer
        self._check = check
        self._language = language
        self._outcome = outcome
        self._choices: dict[int, _StreamedChoice] = {}

    async def events(self, reply: UpstreamReply | RestatedReply, until: float) -> AsyncIterator[bytes]:
        """Our events up to the last sentence; raises :class:`UpstreamError` where the stream breaks."""
        values = parse_events(reply.chunks())
        while True:
            async with deadline_at(until):
                value = await anext(values, None)
            if value is None:
                break
            self._writer.model = str(value.get("model") or self._writer.model)
            self._outcome.usage = select_usage(value.get("usage")) or self._outcome.usage
            for choice in value["choices"]:
                for event in await self._take(choice, until):
                    yield event
            if self._is_cut():
                break
        self._require_whole()

    def end(self) -> list[bytes]:
        """The events that say that the answer is whole; sent last."""
        ends = [self._writer.write(i, {}, choice.finish) for i, choice in sorted(self._choices.items())]
        return [*ends, self._writer.write_usage(self._outcome.usage), self._writer.end()]

    async def _take(self, received: Any, until: float) -> list[bytes]:
        """Our events for one choice of a chunk that was received."""
        index, delta = _parse_choice(received)
        choice = self._choices.setdefault(index, _StreamedChoice(SentenceBuffer(self._check_shown)))
        if choice.buffer.findings or choice.is_cut():
            return []
        logprobs = received.get("logprobs")
        if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
            choice.logprobs += logprobs["content"]
        choice.calls.add(delta.get("tool_calls"))
        text = choice.take(delta.get("content") or "")
        events: list[bytes] = []
        if choice.buffer.add(text):
            events += self._show(index, choice, await _check_in_time(choice.buffer.release, until))
        finish = LENGTH if choice.is_cut() else received.get("finish_reason")
        if finish and not choice.buffer.findings:
            events += self._show(index, choice, await _check_in_time(choice.buffer.flush, until))
        if finish and not choice.buffer.findings and choice.calls.parts:
            calls = choice.calls.build()
            shown = read_shown({"tool_calls": calls})
            if len(shown) > LONGEST_TEXT:  # what a tool is called with cannot be cut
                raise UpstreamError("truncated")
            choice.buffer.findings = await _check_in_time(lambda: tuple(self._check(shown)), until)
            if not choice.buffer.findings:
                numbered = [{"index": number, **call} for number, call in enumerate(calls)]
                events.append(self._writer.write(index, choice.opening() | {"tool_calls": numbered}))
                choice.shown = True
        if choice.buffer.findings:
            return [*events, self._withhold(index, choice)]
        if finish:
            choice.finish = select_finish(finish)
        return events

    def _check_shown(self, text: str) -> Sequence[str]:
        return self._check(decode_escapes(text))

    def _show(self, index: int, choice: _StreamedChoice, text: str) -> list[bytes]:
        if not text:
            return []
        logprobs, choice.logprobs = take_logprobs(choice.logprobs, text)
        choice.shown = choice.shown or bool(text.strip())
        self._note(index, text)
        delta = choice.opening() | {"content": text}
        return [self._writer.write(index, delta, logprobs={"content": logprobs} if logprobs else None)]

    def _withhold(self, index: int, choice: _StreamedChoice) -> bytes:
        """What replaces a sentence that fails the check, and all after it."""
        choice.finish = "content_filter"
        self._outcome.add_findings(choice.buffer.findings)
        text = ("\n\n" if choice.shown else "") + WITHHELD[self._language]
        choice.shown = True
        self._note(index, text)
        return self._writer.write(index, choice.opening() | {"content": text})

    def _note(self, index: int, text: str) -> None:
        if index == 0:
            self._outcome.text += text

    def _is_cut(self) -> bool:
        """Whether nothing more is to come of any choice that was asked for."""
        return len(self._choices) >= self._count and all(choice.is_cut() for choice in self._choices.values())

    def _require_whole(self) -> None:
        if not self._choices or any(choice.finish is None for choice in self._choices.values()):
            raise UpstreamError("truncated")
        if any(choice.finish == "stop" and not choice.shown for choice in self._choices.values()):
            raise UpstreamError("empty")


async def _check_in_time(check: Callable[[], T], until: float) -> T:
    """What a check in a thread gives; :class:`UpstreamError` ``timeout`` where that takes too long."""
    async with deadline_at(until):
        return await asyncio.to_thread(check)


def _parse_choice(received: Any) -> tuple[int, dict[str, Any]]:
    """Index and delta; :class:`UpstreamError` ``malformed`` for what is no choice of a chunk."""
    if not isinstance(received, dict) or type(received.get("index", 0)) is not int:
        raise UpstreamError("malformed")
    delta = received.get("delta") or {}
    if not isinstance(delta, dict) or not isinstance(delta.get("content"), (str, type(None))):
        raise UpstreamError("malformed")
    return received.get("index", 0), delta
