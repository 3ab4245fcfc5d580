"""A language model that misbehaves: a real HTTP server speaking OpenAI's chat API, badly on demand.

Asked for a stream it streams ``text`` word by word. Behaviours: ``answer``, ``empty``, ``error`` (500), ``flaky`` (500
once, then ``answer``), ``throttle`` (429 with ``Retry-After``), ``refuse`` (400), ``garbage``, ``half`` (breaks off),
``unended`` (a stream that ends without saying why), ``hang`` (never says a word), ``drip`` (bytes that are no answer,
for ever), ``flood`` (a stream in pieces of a thousand characters), ``stall`` (half a stream, then silence), ``tools``
(calls a tool), ``fields`` (any message and members that a test gives it), ``strict`` (refuses a system message that is
not the first, as current chat templates do), ``uncounted`` (streams without usage), ``uncountable`` (will not be asked
for it).
"""

from __future__ import annotations

import json
import re
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "book", "arguments": '{"when": "today"}'}}


@dataclass(slots=True)
class StubLLM:
    """Where it listens, how it behaves, and what it was sent; ``gone`` is set when a caller leaves it hanging."""

    url: str
    behaviour: str = "answer"
    text: str = "Rest, and drink enough."
    received: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    failed_once: bool = False
    fields: dict[str, Any] = field(default_factory=dict)

    def behave(self, behaviour: str, text: str = "Rest, and drink enough.") -> None:
        """Behave like this from now on, and forget what was sent before."""
        self.behaviour, self.text, self.failed_once = behaviour, text, False
        self.received.clear()
        self.headers.clear()
        self.gone.clear()


@contextmanager
def stub_llm() -> Iterator[StubLLM]:
    """A stub on a free port for the length of a block; hanging and dripping calls end with it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    stub = StubLLM(f"http://127.0.0.1:{server.server_port}/v1")
    server.stub = stub  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield stub
    finally:
        stub.ended.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        stub: StubLLM = self.server.stub  # type: ignore[attr-defined]
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stub.received.append(self.body)
        stub.headers.append(dict(self.headers.items()))
        try:
            getattr(self, f"_{stub.behaviour}")(stub)
        except OSError:  # the caller gave up, which is what some tests are about
            stub.gone.set()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""

    def _send(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def _completion(self, message: dict[str, Any], finish: str = "stop") -> bytes:
        choices = [
            {"index": i, "message": {"role": "assistant", **message}, "finish_reason": finish}
            for i in range(self.body.get("n") or 1)
        ]
        usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
        head = {"id": "1", "object": "chat.completion", "created": 1, "model": self.body["model"]}
        return json.dumps({**head, "choices": choices, "usage": usage}).encode()

    def _events(self, deltas: list[dict[str, Any]], finish: str | None, *, done: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": self.body["model"]}
        steps: list[tuple[dict[str, Any], str | None]] = [(delta, None) for delta in deltas]
        for delta, ended in [*steps, *([({}, finish)] if finish else [])]:
            for index in range(self.body.get("n") or 1):
                choice = {"index": index, "delta": delta, "finish_reason": ended}
                self._write({**head, "choices": [choice]})
        if done and (self.body.get("stream_options") or {}).get("include_usage"):
            self._write({**head, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}})
        if done:
            self.wfile.write(b"data: [DONE]\n\n")

    def _write(self, event: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.flush()

    def _words(self, text: str) -> list[dict[str, Any]]:
        return [{"role": "assistant", "content": ""}, *({"content": word} for word in re.findall(r"\s*\S+", text))]

    def _answer(self, stub: StubLLM) -> None:
        if self.body.get("stream"):
            self._events(self._words(stub.text), "stop")
        else:
            self._send(200, self._completion({"content": stub.text}))

    def _fields(self, stub: StubLLM) -> None:
        """``message`` (in a stream, ``deltas``), ``choice`` and ``completion``: members beside the usual ones."""
        given = stub.fields
        if self.body.get("stream"):
            self._events(given["deltas"], given.get("finish", "stop"))
            return
        body = json.loads(self._completion(given["message"], given.get("finish", "stop")))
        body["choices"] = [choice | given.get("choice", {}) for choice in body["choices"]]
        self._send(200, json.dumps(body | given.get("completion", {})).encode())

    def _flood(self, stub: StubLLM) -> None:
        pieces = [stub.text[start : start + 1000] for start in range(0, len(stub.text), 1000)]
        self._events([{"content": piece} for piece in pieces], "stop")

    def _tools(self, stub: StubLLM) -> None:
        if self.body.get("stream"):
            self._events([{"role": "assistant", "tool_calls": [{"index": 0, **TOOL_CALL}]}], "tool_calls")
        else:
            self._send(200, self._completion({"content": None, "tool_calls": [TOOL_CALL]}, "tool_calls"))

    def _empty(self, stub: StubLLM) -> None:
        if self.body.get("stream"):
            self._events([{"role": "assistant", "content": " "}], "stop")
        else:
            self._send(200, self._completion({"content": "  "}))

    def _error(self, stub: StubLLM) -> None:
        self._send(500, b'{"error": {"message": "no"}}')

    def _flaky(self, stub: StubLLM) -> None:
        if stub.failed_once:
            self._answer(stub)
        else:
            stub.failed_once = True
            self._error(stub)

    def _throttle(self, stub: StubLLM) -> None:
        self._send(429, b'{"error": {"message": "slow down"}}', Retry_After="7")

    def _strict(self, stub: StubLLM) -> None:
        if any(message["role"] in ("system", "developer") for message in self.body["messages"][1:]):
            self._send(400, b'{"error": {"message": "System message must be at the beginning."}}')
        else:
            self._answer(stub)

    def _uncounted(self, stub: StubLLM) -> None:
        self.body.pop("stream_options", None)
        self._answer(stub)

    def _uncountable(self, stub: StubLLM) -> None:
        if "stream_options" in self.body:
            self._send(422, b'{"error": {"message": "stream_options: extra inputs are not permitted"}}')
        else:
            self._answer(stub)

    def _refuse(self, stub: StubLLM) -> None:
        error = {
            "message": "tools is malformed",
            "type": "invalid_request_error",
            "param": "tools",
            "code": "bad_tools",
        }
        self._send(400, json.dumps({"error": error}).encode())

    def _garbage(self, stub: StubLLM) -> None:
        self._send(200, b"\xff\xfe not json \x00")

    def _half(self, stub: StubLLM) -> None:
        if self.body.get("stream"):
            self._events(self._words(stub.text)[:-1], None, done=False)
        else:
            body = self._completion({"content": stub.text})
            self._send(200, body[: len(body) // 2], length=len(body))

    def _unended(self, stub: StubLLM) -> None:
        if self.body.get("stream"):
            self._events(self._words(stub.text), None)
        else:
            body = json.loads(self._completion({"content": stub.text}))
            body["choices"][0]["finish_reason"] = None
            self._send(200, json.dumps(body).encode())

    def _stall(self, stub: StubLLM) -> None:
        self._events(self._words(stub.text)[:-1], None, done=False)
        self._hang(stub)

    def _hang(self, stub: StubLLM) -> None:
        while not stub.ended.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.05)
            if readable and not self.connection.recv(1):
                stub.gone.set()
                return

    def _drip(self, stub: StubLLM) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        while not stub.ended.wait(0.2):
            self.wfile.write(b" ")
            self.wfile.flush()
