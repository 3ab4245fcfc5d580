"""Write a streamed answer: what both of OpenAI's APIs need, and chunks of a chat."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from bentos.openai.chat.errors import GatewayError

DONE = b"data: [DONE]\n\n"


def encode_json(value: dict[str, Any]) -> bytes:
    """JSON in UTF-8; half a surrogate pair (a character cut by a model) becomes "?"."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def encode_event(value: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + encode_json(value) + b"\n\n"


class AnswerWriter(Protocol):
    """Writes the events of one streamed answer; ``model`` may become known on the way."""

    model: str

    def write(self, index: int, delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> bytes:
        """The events for a chat's delta, checked already; ``finish`` says why the choice ended."""
        ...

    def write_usage(self, usage: dict[str, Any] | None) -> bytes:
        """The events for the tokens used, where the application asks for them and they are known."""
        ...

    def end(self) -> bytes:
        """The events that say that the answer is whole."""
        ...

    def fail(self, error: GatewayError) -> bytes:
        """The events that say that it is not, and never will be."""
        ...


@dataclass(slots=True)
class ChunkWriter:
    """Writes the chunks of a chat; the first one carries the member ``pmlm``."""

    id: str
    model: str
    pmlm: dict[str, Any] | None
    wants_usage: bool = False
    created: int = field(default_factory=lambda: int(time.time()))

    def write(self, index: int, delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> bytes:
        choice: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": finish}
        if logprobs is not None:
            choice["logprobs"] = logprobs
        return self._write([choice], None)

    def write_usage(self, usage: dict[str, Any] | None) -> bytes:
        return self._write([], usage) if usage and self.wants_usage else b""

    def end(self) -> bytes:
        return DONE

    def fail(self, error: GatewayError) -> bytes:
        return encode_event(error.body)

    def _write(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> bytes:
        head = {"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model}
        counted = {"usage": usage} if self.wants_usage else {}
        pmlm, self.pmlm = self.pmlm, None
        return encode_event({**head, "choices": choices, **counted, **({"pmlm": pmlm} if pmlm else {})})


def write_choices(
    writer: AnswerWriter, choices: list[dict[str, Any]], usage: dict[str, Any] | None, sent: str = ""
) -> list[bytes]:
    """Whole choices as a stream; ``sent`` is the part of each text already sent."""
    events = []
    for choice in choices:
        message = dict(choice["message"])
        content = (message.pop("content", None) or "").removeprefix(sent)
        opening = {} if sent else {"role": "assistant"}
        others = {k: v for k, v in message.items() if k != "role" and v is not None and k != "tool_calls"}
        if message.get("tool_calls"):
            others["tool_calls"] = [{"index": i, **call} for i, call in enumerate(message["tool_calls"])]
        if content or others:
            events.append(writer.write(choice["index"], opening | ({"content": content} if content else {}) | others))
    events += [writer.write(choice["index"], {}, choice["finish_reason"]) for choice in choices]
    return [*events, writer.write_usage(usage), writer.end()]
