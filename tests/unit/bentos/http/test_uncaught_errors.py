"""Whatever fails before an answer begins is answered and logged."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bentos.http.uncaught_errors import UncaughtErrorMiddleware
from bentos.problems.problem_details import App, Message, Receive, Scope, Send


async def fail(scope: Scope, receive: Receive, send: Send) -> None:
    raise KeyError("Patient/6f0c4a1e")


async def say_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    pass


async def fail_midway(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise KeyError


def call(app: App, path: str = "/answer") -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "headers": []}
    asyncio.run(UncaughtErrorMiddleware(app)(scope, receive, send))
    return sent


@pytest.mark.attack("event loop", "an error outside every app, before the answer starts", "500 at once, logged")
@pytest.mark.parametrize("app", [fail, say_nothing])
@pytest.mark.parametrize("path", ["/answer", "/v1/chat/completions"])
def test_a_request_that_nothing_answered_is_answered_500(app: App, path: str) -> None:
    start, body = call(app, path)
    assert start["status"] == 500
    assert b"Internal Server Error" in body["body"]
    assert b"6f0c4a1e" not in body["body"]


def test_half_an_answer_is_not_completed() -> None:
    with pytest.raises(KeyError):
        call(fail_midway)
