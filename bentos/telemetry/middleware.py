"""Trace, count and log every request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import Span

from bentos.problems.problem_details import App, Message, Receive, Scope, Send
from bentos.telemetry import logs, metrics, tracing

#: Asked every few seconds by machines; counted, but neither logged nor traced.
QUIET = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
GONE = 499  # the client left before it was answered (nginx's number; no answer bears it)
UNKNOWN = "unknown"


class TelemetryMiddleware:
    """ASGI middleware: a span, counts and a log line around every request."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, retry_after = GONE, False

        async def watch(message: Message) -> None:
            nonlocal status, retry_after
            if message["type"] == "http.response.start":
                status = message["status"]
                retry_after = any(name.lower() == b"retry-after" for name, _ in message["headers"])
            await send(message)

        with _span(scope) as span, metrics.RUNNING.track_inprogress():
            started = time.perf_counter()
            try:
                await self._app(scope, receive, watch)
            except Exception:
                status = 500 if status == GONE else status
                raise
            finally:
                _report(scope, span, status, time.perf_counter() - started, retry_after=retry_after)


@contextmanager
def _span(scope: Scope) -> Iterator[Span | None]:
    if scope["path"] in QUIET:
        yield None
        return
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    with tracing.request_span(_method(scope), headers) as span:
        yield span


def _report(scope: Scope, span: Span | None, status: int, seconds: float, *, retry_after: bool) -> None:
    rule = scope.get("state", {}).get("rule")
    route: str = rule.name if rule is not None else UNKNOWN
    metrics.count_request(route, _method(scope), status, seconds, retry_after=retry_after)
    if span is not None:
        tracing.name_request(span, _method(scope), route, status)
        trace_id = span.get_span_context().trace_id
        more = {"trace_id": f"{trace_id:032x}"} if span.is_recording() else {}
        logs.logger().info(
            "request", route=route, method=_method(scope), status=status, seconds=round(seconds, 4), **more
        )


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in metrics.METHODS else metrics.OTHER
