"""Turns a chat away where there is no place for it, before anything else is done: no token read, no line written.

What those cost that are turned away is taken from those that are served, so they are only counted.
"""

from __future__ import annotations

import json

from bentos.openai import app as gateway
from bentos.problems.problem_details import App, Receive, Scope, Send
from bentos.telemetry import metrics

PATH = "/v1/chat/completions"
ROUTE = "/v1"  # its name in metrics (``access.routes``)


class Shedding:
    """ASGI middleware: ``app`` while the gateway has a place; else 503 with ``Retry-After`` at once."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = gateway.refusal() if scope["type"] == "http" and scope["path"] == PATH else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        metrics.request(ROUTE, scope["method"], refusal.status, 0.0, told_to_wait=True)
        body = json.dumps(refusal.body).encode()
        told = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
        headers = [(name.encode(), value.encode()) for name, value in told.items()]
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
