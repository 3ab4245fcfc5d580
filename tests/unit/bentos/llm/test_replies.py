"""A language model's stream is read however its bytes are cut, and believed only when it is one to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentos.llm.errors import UpstreamError
from bentos.llm.replies import parse_events

EVENTS = b': hello\n\nevent: x\ndata: {"choices": [1]}\n\ndata: {"choices":\ndata: [2]}\r\n\r\ndata: [DONE]\n\n'


async def _chunks(data: bytes, sizes: list[int]) -> AsyncIterator[bytes]:
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


def read(data: bytes, sizes: list[int] | None = None) -> list[object]:
    async def run() -> list[object]:
        return [event["choices"] async for event in parse_events(_chunks(data, sizes or []))]

    return asyncio.run(run())


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), max_size=40))
def test_events_are_the_same_however_their_bytes_are_cut(sizes: list[int]) -> None:
    assert read(EVENTS, sizes) == [[1], [2]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (EVENTS.removesuffix(b"data: [DONE]\n\n"), "truncated"),
        (EVENTS.removesuffix(b"\n\n"), "truncated"),
        (b"", "truncated"),
        (b"data: {\n\n", "malformed"),
        (b"data: []\n\n", "malformed"),
        (b'data: {"choices": 1}\n\n', "malformed"),
        (b'data: {"choices": [NaN]}\n\n', "malformed"),
        (b"<html>\n\n", "malformed"),
        (b"<html>", "malformed"),
        (b'data: {"error": {"message": "overloaded"}}\n\n', "failed"),
    ],
)
def test_what_is_no_whole_stream_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(UpstreamError) as broken:
        read(data)
    assert broken.value.reason == reason


@pytest.mark.attack("event loop", "an upstream that sends an event byte by byte", "read in one pass")
def test_an_event_that_drips_is_searched_once() -> None:
    data = b'data: {"choices": [], "x": "' + b"a" * 400_000 + b'"}\r\n\r\ndata: [DONE]\n\n'

    async def drip() -> AsyncIterator[bytes]:
        for start in range(len(data)):
            yield data[start : start + 1]

    async def count() -> int:
        return len([event async for event in parse_events(drip())])

    started = time.process_time()
    assert asyncio.run(count()) == 1
    assert time.process_time() - started < 5.0
