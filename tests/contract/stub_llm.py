"""A language model that misbehaves: a real HTTP server speaking OpenAI's chat API, badly where it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True)
class StubLLM:
    """Where it listens, how it behaves (``answer``, ``hang``, ``drip``, ``garbage``, ``half``, ``error``, ``empty``),
    and what it was sent."""

    url: str
    behaviour: str = "answer"
    text: str = "Rest, and drink enough."
    received: list[dict[str, Any]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


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
        stub.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        getattr(self, f"_{stub.behaviour}")(stub)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""

    def _send(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def _completion(self, text: str) -> bytes:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return json.dumps(
            {"id": "1", "object": "chat.completion", "created": 1, "model": "stub", "choices": [choice]}
        ).encode()

    def _answer(self, stub: StubLLM) -> None:
        self._send(200, self._completion(stub.text))

    def _empty(self, stub: StubLLM) -> None:
        self._send(200, self._completion("  "))

    def _error(self, stub: StubLLM) -> None:
        self._send(500, b'{"error": {"message": "no"}}')

    def _garbage(self, stub: StubLLM) -> None:
        self._send(200, b"\xff\xfe not json \x00")

    def _half(self, stub: StubLLM) -> None:
        body = self._completion(stub.text)
        self._send(200, body[: len(body) // 2], length=len(body))

    def _hang(self, stub: StubLLM) -> None:
        stub.ended.wait(60)

    def _drip(self, stub: StubLLM) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        try:
            while not stub.ended.wait(0.2):
                self.wfile.write(b" ")
                self.wfile.flush()
        except OSError:  # the caller gave up, which is what the test is about
            return
