"""Answer whatever an app or a middleware did not: an exception becomes a logged problem.

BentoML's own layers around ours wait for an answer to begin until their limit of ten minutes has passed, so that
a request whose app has failed before would hang that long.
"""

from __future__ import annotations

from http import HTTPStatus

from bentos.problems.problem_details import App, Message, Receive, Scope, Send, make_problem, send_problem
from bentos.telemetry import logs


class UncaughtErrorMiddleware:
    """ASGI middleware, outermost of ours: every request gets an answer."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            logs.logger().error("request failed", exc_info=error)
            if begun:  # a server ends the connection, so that the half answer is seen to be one
                raise
        if not begun:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            await send_problem(scope, send, make_problem(status, status.phrase))
