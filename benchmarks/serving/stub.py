"""A stub language model: answers OpenAI's chat API after a fixed latency.

Run as a process of its own (``python -m benchmarks.serving.stub``); prints its port. It parses no more of a request
than it must, so that it costs the measured machine as little as possible.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import uvloop

SENTENCES = ("Feeling tired is common at this stage.", " Rest when you can.", " Ask your clinic about your iron.")
BETWEEN_S = 0.01
_HEAD = {"id": "1", "created": 1, "model": "stub"}


def _whole() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "".join(SENTENCES)}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 300, "completion_tokens": 24, "total_tokens": 324}
    body = json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    return head + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    value = {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}
    return _chunk(b"data: " + json.dumps(value).encode() + b"\n\n")


ANSWER = _whole()
OPENING = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENTS = (
    OPENING + _event({"role": "assistant", "content": SENTENCES[0]}, None),
    *(_event({"content": sentence}, None) for sentence in SENTENCES[1:]),
    _event({}, "stop") + _chunk(b"data: [DONE]\n\n") + _chunk(b""),
)


class Stub(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._held = b""
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return
        length = next(
            (int(line[15:]) for line in self._held[:end].lower().split(b"\r\n") if line.startswith(b"content-length:")),
            0,
        )
        body = self._held[end + 4 : end + 4 + length]
        if len(body) < length:
            return
        self._held = self._held[end + 4 + length :]
        streams = b'"stream": true' in body or b'"stream":true' in body
        for place, piece in enumerate(EVENTS if streams else (ANSWER,)):
            self._loop.call_later(self._latency + place * BETWEEN_S, self._send, piece)

    def _send(self, piece: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(piece)


async def _serve(latency: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Stub(latency), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    uvloop.run(_serve(parser.parse_args().latency))
