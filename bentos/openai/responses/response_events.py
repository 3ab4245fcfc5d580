"""Write a streamed answer as the events of ``/v1/responses``.

    created, in_progress;  for each item: added, (part added, text deltas, text done, part done | arguments), done;
    completed or incomplete

The message is the first item where there is any text; each tool's call follows as one of its own. A stream that breaks
ends with ``error`` and ``response.failed``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bentos.openai.chat.chat_request import ChatRequest
from bentos.openai.chat.errors import GatewayError
from bentos.openai.responses.response_object import (
    BEGUN,
    DONE,
    UNDONE,
    build_call,
    build_message,
    build_text,
    convert_usage,
    describe,
    describe_end,
    find_status,
)
from bentos.openai.streaming.answer_writer import encode_json


class ResponseWriter:
    """Writes the events of one response; its deltas are those of a chat with one choice."""

    def __init__(self, id_: str, chat: ChatRequest, model: str, pmlm: Callable[[], dict[str, Any]]) -> None:
        self.model = model
        self._id, self._chat, self._pmlm = id_, chat, pmlm
        self._created = int(time.time())
        self._number = 0
        self._text = ""
        self._output: list[dict[str, Any]] = []
        self._finish: str | None = None
        self._usage: dict[str, Any] | None = None

    def write(self, index: int, delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> bytes:
        events = self._begin()
        if text := delta.get("content"):
            events += self._write_text(text)
        calls = delta.get("tool_calls") or ()
        if calls:
            events += self._close_message(DONE)
        for call in calls:
            events += self._write_call(call)
        self._finish = finish or self._finish
        return b"".join(events)

    def write_usage(self, usage: dict[str, Any] | None) -> bytes:
        self._usage = convert_usage(usage)
        return b""

    def end(self) -> bytes:
        events = self._begin() + self._close_message(find_status(self._finish))
        ended = describe_end(self._finish)
        whole = self._describe() | {"output": self._output, "usage": self._usage, **ended}
        return b"".join([*events, self._event(f"response.{ended['status']}", response=whole)])

    def fail(self, error: GatewayError) -> bytes:
        events, body = self._begin() + self._close_message(UNDONE), error.body["error"]
        # the shape of this event, and beside it the one that makes OpenAI's client raise what it raises for a chat
        error_event = self._event("error", code=body["code"], message=body["message"], param=body["param"], error=body)
        failed = {"status": "failed", "error": {"code": "server_error", "message": body["message"]}}
        whole = self._describe() | {"output": self._output, **failed}
        return b"".join([*events, error_event, self._event("response.failed", response=whole)])

    def _describe(self) -> dict[str, Any]:
        return describe(self._id, self._chat, self.model, self._created, self._pmlm())

    def _begin(self) -> list[bytes]:
        """The first events, before any other."""
        if self._number:
            return []
        begun = self._describe()
        return [self._event("response.created", response=begun), self._event("response.in_progress", response=begun)]

    def _write_text(self, text: str) -> list[bytes]:
        events = []
        message = build_message(self._id, "", BEGUN)
        place = {"item_id": message["id"], "output_index": len(self._output), "content_index": 0}
        if not self._text:
            events = [
                self._event("response.output_item.added", output_index=len(self._output), item=message),
                self._event("response.content_part.added", **place, part=build_text("")),
            ]
        self._text += text
        return [*events, self._event("response.output_text.delta", **place, delta=text, logprobs=[])]

    def _close_message(self, status: str) -> list[bytes]:
        """The events that end the message, where one is open."""
        if not self._text:
            return []
        message, index = build_message(self._id, self._text, status), len(self._output)
        place = {"item_id": message["id"], "output_index": index, "content_index": 0}
        events = [
            self._event("response.output_text.done", **place, text=self._text, logprobs=[]),
            self._event("response.content_part.done", **place, part=build_text(self._text)),
            self._event("response.output_item.done", output_index=index, item=message),
        ]
        self._text = ""
        self._output.append(message)
        return events

    def _write_call(self, call: dict[str, Any]) -> list[bytes]:
        index = len(self._output)
        whole = build_call(self._id, index, call, DONE)
        self._output.append(whole)
        place, arguments = {"item_id": whole["id"], "output_index": index}, whole["arguments"]
        begun = whole | {"arguments": "", "status": BEGUN}
        return [
            self._event("response.output_item.added", output_index=index, item=begun),
            self._event("response.function_call_arguments.delta", **place, delta=arguments),
            self._event("response.function_call_arguments.done", **place, name=whole["name"], arguments=arguments),
            self._event("response.output_item.done", output_index=index, item=whole),
        ]

    def _event(self, kind: str, **members: Any) -> bytes:
        data = encode_json({"type": kind, "sequence_number": self._number, **members})
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
