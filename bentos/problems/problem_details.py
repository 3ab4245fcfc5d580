"""Send every error in one shape (RFC 9457); refuse bad bodies.

BentoML answers errors in three shapes of its own (an object, a list, plain text). This ASGI middleware turns each
into ``application/problem+json`` with the offending field named; other responses pass untouched. Below ``/v1`` errors
have OpenAI's shape, and below ``/mcp`` JSON-RPC's: what those apps answer is left alone. BentoML also logs a traceback
for each bad request; ``OneLineFilter`` leaves the line without it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

from pmlm.api_types import PROBLEM, Problem

MAX_BODY = 64 * 1024
BODY_S = 20.0
MEDIA = b"application/json"
OPENAI = "/v1"
OWN_SHAPES = (OPENAI, "/mcp")

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

EXPLAINED = {
    403: "this token does not open a patient by this reference",
    404: "the clinic has no patient by this reference",
    503: "the clinic's features cannot be read at the moment",
}
ABOUT_PATIENT = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


class OneLineFilter(logging.Filter):
    """Logs a client's mistake in one line, without a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ValidationError) or (
            isinstance(error, BentoMLException) and error.error_code < HTTPStatus.INTERNAL_SERVER_ERROR
        ):
            record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        return True


logging.getLogger("bentoml._internal.server.http_app").addFilter(OneLineFilter())


class ProblemMiddleware:
    """ASGI middleware: ``app`` behind a body limit, its errors rewritten."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if scope["method"] == "POST" and not headers.get(b"content-type", MEDIA).startswith(MEDIA):
            status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            await send_problem(scope, send, make_problem(status, "the body must be application/json", "body"))
            return
        rule = scope.get("state", {}).get("rule")
        limit = rule.body if rule else MAX_BODY
        try:
            async with asyncio.timeout(BODY_S):
                body = await _read_body(receive, limit)
        except TimeoutError:
            status = HTTPStatus.REQUEST_TIMEOUT
            problem = make_problem(status, f"the body did not come within {BODY_S:g} seconds", "body")
            await send_problem(scope, send, problem, {"connection": "close"})
            return
        if body is None:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            await send_problem(scope, send, make_problem(status, f"the body is over {limit} bytes", "body"))
            return
        own_shape = _below(scope, OWN_SHAPES)
        await self._app(scope, _replay(body, receive), send if own_shape else _ProblemSender(scope, send))


def make_problem(status: HTTPStatus, detail: str, field: str | None = None) -> Problem:
    """A problem with the status's own title."""
    return Problem(title=status.phrase, status=status, field=field, detail=detail)


async def send_problem(scope: Scope, send: Send, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
    """Answer a problem, below ``/v1`` in OpenAI's shape."""
    if _below(scope, (OPENAI,)):
        media, body = "application/json", json.dumps(openai_error(problem)).encode()
    else:
        media, body = PROBLEM, problem.model_dump_json(exclude_none=True).encode()
    sent = {"content-type": media, "content-length": str(len(body)), **(headers or {})}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": pairs})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def openai_error(problem: Problem) -> dict[str, Any]:
    """A problem in the shape that OpenAI's clients read."""
    kind = openai_error_type(problem.status)
    return {"error": {"message": problem.detail, "type": kind, "param": problem.field, "code": None}}


def openai_error_type(status: int) -> str:
    """OpenAI's ``type`` of an error with this status."""
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    return kinds.get(status, "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error")


def _below(scope: Scope, prefixes: tuple[str, ...]) -> bool:
    return any(scope["path"] == prefix or scope["path"].startswith(f"{prefix}/") for prefix in prefixes)


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole request body, or None if it is over the limit."""
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            return None
        more = message.get("more_body", False)
    return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body once, then what the client sends next."""
    replayed = False

    async def receive_again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


class _ProblemSender:
    """A ``send`` that turns an error response, once its body is whole, into a problem."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400 and not _is_problem(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._release(self._start)

    async def _release(self, start: Message) -> None:
        status = HTTPStatus(start["status"])
        value = _parse(self._body)
        if refusal := self._scope.get("state", {}).get("refusal"):  # the route has said what to answer
            problem, headers = refusal
            await send_problem(self._scope, self._send, problem, headers)
        elif isinstance(value, dict) and "answer" in value:  # no error of ours: an answer whose language model failed
            await _send_answer(self._send, start, value)
        else:
            headers = {n.decode(): v.decode("latin-1") for n, v in start["headers"] if n.lower() in _PASSED_HEADERS}
            await send_problem(self._scope, self._send, _convert_error(status, value), headers)


_PASSED_HEADERS = (b"retry-after", b"www-authenticate", b"allow")


def _is_problem(start: Message) -> bool:
    media = next((v for n, v in start["headers"] if n.lower() == b"content-type"), b"")
    return bool(media.startswith(PROBLEM.encode()))


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _convert_error(status: HTTPStatus, value: Any) -> Problem:
    """A problem from an error of BentoML, FastAPI or Starlette (its JSON, or None)."""
    details = value.get("detail") if isinstance(value, dict) else None
    if isinstance(details, list) and details:
        place = ".".join(str(part) for part in details[0]["loc"] if part not in ("body", "query", "path")) or "body"
        return make_problem(status, f"{place}: {details[0]['msg']}", place)
    by_bento = isinstance(value, (dict, list)) and (isinstance(value, list) or "error" in value)
    detail = EXPLAINED.get(status, status.phrase) if by_bento else status.phrase
    return make_problem(status, detail, "patient" if by_bento and status in ABOUT_PATIENT else None)


async def _send_answer(send: Send, start: Message, answer: dict[str, Any]) -> None:
    """Send an answer as a problem with extra members, since its prompt is still of use."""
    status = HTTPStatus(start["status"])
    detail = "the language model gave no answer"
    problem = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail, **answer}
    body = json.dumps(problem, ensure_ascii=False).encode()
    headers = [(b"content-type", PROBLEM.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
