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
#: The same, as servers and proxies may write it: a byte order mark, unknown fields, beats, every end of a line.
ODD = (
    b'\xef\xbb\xbf: hello\r\n\nevent: x\nretry: 9\nx-trace: 7\nwhatever\ndata:{"choices": [1]}\n\r\n'
    b'data\r\rid: 4\rdata: {"choices":\r:beat\r\ndata: [2]}\r\n\r\ndata:\n\nevent: ping\n\ndata: [DONE]\r\r'
)


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
@given(st.sampled_from([EVENTS, ODD]), st.lists(st.integers(1, 9), max_size=60))
def test_events_are_the_same_however_their_bytes_are_cut(events: bytes, sizes: list[int]) -> None:
    assert read(events, sizes) == [[1], [2]]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_every_end_of_a_line_that_the_standard_names_is_one(end: bytes, size: int) -> None:
    data = EVENTS.replace(b"\r\n", b"\n").replace(b"\n", end)
    assert read(data, [size] * len(data)) == [[1], [2]]


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
        (b"HTTP: no\nstream: this\n\n", "malformed"),
        (b": beat\n\n: beat\n\n", "truncated"),
        (b": beat\n\n: be", "truncated"),
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
