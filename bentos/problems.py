"""Every error leaves the endpoint in one shape (RFC 9457); a body too large or of another media type never enters.

BentoML answers errors in three shapes of its own (an object, a list, plain text). This ASGI middleware turns each
into ``application/problem+json`` with the offending field named; other responses pass untouched. BentoML also logs a
traceback for each bad request; ``OneLine`` leaves the line without it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

from bentos.api_types import Problem

MAX_BODY = 64 * 1024
MEDIA = b"application/json"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

EXPLAINED = {
    404: "the clinic has no patient by this reference",
    503: "the clinic's features cannot be read at the moment",
}


class OneLine(logging.Filter):
    """A client's mistake is one line of the log, not a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ValidationError) or (
            isinstance(error, BentoMLException) and error.error_code < HTTPStatus.INTERNAL_SERVER_ERROR
        ):
            record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        return True


logging.getLogger("bentoml._internal.server.http_app").addFilter(OneLine())


class Problems:
    """The middleware: ``app`` behind a body limit, its errors rewritten."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if scope["method"] == "POST" and not headers.get(b"content-type", MEDIA).startswith(MEDIA):
            await _send_problem(send, _refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"))
            return
        body = await _body(receive)
        if body is None:
            await _send_problem(
                send, _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is over {MAX_BODY} bytes")
            )
            return
        await self._app(scope, _replay(body, receive), _Rewriting(send))


async def _body(receive: Receive) -> bytes | None:
    """The whole request body, or None if it is over the limit."""
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY:
            return None
        more = message.get("more_body", False)
    return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body once and then whatever the client sends next (a disconnect)."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


class _Rewriting:
    """A ``send`` that holds an error response back until its body is whole, then sends it as a problem."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._held = message
        elif self._held is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._release(self._held)

    async def _release(self, start: Message) -> None:
        problem = _problem(start["status"], self._body)
        if problem is None:
            await self._send(start)
            await self._send({"type": "http.response.body", "body": self._body})
        else:
            await _send_problem(self._send, problem)


def _problem(status: int, body: bytes) -> Problem | None:
    """BentoML's error as a problem; None for a body that is an answer of ours (an LLM that failed)."""
    title = HTTPStatus(status).phrase
    try:
        value = json.loads(body)
    except ValueError:
        return Problem(title=title, status=status, detail=title)
    if isinstance(value, dict) and "error" not in value:
        return None
    details = value.get("detail") if isinstance(value, dict) else None
    if details:
        place = ".".join(str(part) for part in details[0]["loc"]) or "body"
        return Problem(title=title, status=status, field=place, detail=f"{place}: {details[0]['msg']}")
    field = "patient" if status == HTTPStatus.NOT_FOUND else None
    return Problem(title=title, status=status, field=field, detail=EXPLAINED.get(status, title))


def _refused(status: HTTPStatus, detail: str) -> Problem:
    return Problem(title=status.phrase, status=status, field="body", detail=detail)


async def _send_problem(send: Send, problem: Problem) -> None:
    body = problem.model_dump_json(exclude_none=True).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
