"""Limit how many requests may be inside at once; refuse the rest immediately."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus

from bentos.openai.chat.errors import GatewayError
from bentos.problems.problem_details import App, Receive, Scope, Send
from bentos.telemetry import metrics

RETRY_AFTER_S = 1
PATHS = ("/v1/chat/completions", "/v1/responses")
ROUTE = "/v1"  # its name in metrics (``auth.routes``)


class Admission:
    """Counts requests waiting for their prompt (up to ``queue``) and all (up to ``inside``)."""

    def __init__(self, queue: int, inside: int) -> None:
        self._queue = queue
        self._inside = inside
        self.waiting = 0
        self.open = 0

    def refusal(self) -> GatewayError | None:
        """503 with when to try again, where there is no place."""
        if self.waiting < self._queue and self.open < self._inside:
            return None
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return GatewayError(status, "too many requests at once", code="overloaded", retry_after=RETRY_AFTER_S)

    def enter(self) -> Ticket:
        """Take a place; raises the :meth:`refusal` where there is none."""
        refusal = self.refusal()
        if refusal is not None:
            raise refusal
        return Ticket(self)


class Ticket:
    """One request's place: in the queue until :meth:`leave_queue`, inside until :meth:`leave`."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._waiting = self._open = True
        admission.waiting += 1
        admission.open += 1

    def leave_queue(self) -> None:
        if self._waiting:
            self._waiting = False
            self._admission.waiting -= 1

    def leave(self) -> None:
        """Give the place back; harmless when repeated."""
        self.leave_queue()
        if self._open:
            self._open = False
            self._admission.open -= 1


class LoadSheddingMiddleware:
    """ASGI middleware: refuse an answer without a place before its token is read.

    What refused requests cost is taken from those that are served, so they are only counted. ``find_refusal`` gives
    the refusal of a request that comes now.
    """

    def __init__(self, app: App, find_refusal: Callable[[], GatewayError | None]) -> None:
        self._app = app
        self._find_refusal = find_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._find_refusal() if scope["type"] == "http" and scope["path"] in PATHS else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        metrics.count_request(ROUTE, scope["method"], refusal.status, 0.0, retry_after=True)
        body = json.dumps(refusal.body).encode()
        named = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
        headers = [(name.encode(), value.encode()) for name, value in named.items()]
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
