"""Answer like a language model's server where none is configured: with facts restated.

The client asks it like any other model and gets the same bytes: a completion, or a stream with a chunk a sentence. It
runs in this process, sends nothing anywhere and cannot fail or be late.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pmlm.language_models import EMBEDDED_ANSWER

_NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


class RestatedReply:
    """A reply that is whole already; read like ``UpstreamReply``."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, event by event."""
        for event in self._body.splitlines(keepends=True):
            yield event

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the answer in the block."""
        yield

    def close(self) -> None:
        """Nothing is open."""


def encode_reply(pieces: Sequence[str], choices: int = 1, *, stream: bool = False, usage: bool = False) -> bytes:
    """The answer as OpenAI's servers give it: a completion, or with ``stream`` its chunks, ``usage`` the last."""
    if stream:
        return b"".join(_encode_chunks(pieces, choices, usage=usage))
    message = {"role": "assistant", "content": "".join(pieces)}
    found = [{"index": index, "message": message, "finish_reason": "stop"} for index in range(choices)]
    return _encode({"object": "chat.completion", "choices": found, "usage": _NO_TOKENS})


def _encode_chunks(pieces: Sequence[str], choices: int, *, usage: bool) -> Iterator[bytes]:
    for index in range(choices):
        for piece in pieces:
            yield _encode_chunk([{"index": index, "delta": {"content": piece}, "finish_reason": None}])
        yield _encode_chunk([{"index": index, "delta": {}, "finish_reason": "stop"}])
    if usage:
        yield _encode_chunk([], usage=_NO_TOKENS)
    yield b"data: [DONE]\n\n"


def _encode_chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
    return b"data: " + _encode({"object": "chat.completion.chunk", "choices": choices, **more}) + b"\n\n"


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value | {"model": EMBEDDED_ANSWER, "created": int(time.time())}, ensure_ascii=False).encode()
