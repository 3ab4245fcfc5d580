"""Lets the native app answer before BentoML does: ``/readyz`` and ``/livez`` are BentoML's own words otherwise."""

from __future__ import annotations

from bentos.http.app import app as native
from bentos.problems.problem_details import App, Receive, Scope, Send

#: Names of the rules (``access.routes``) whose requests the native app answers.
NATIVE = frozenset(
    {"/livez", "/readyz", "/healthz", "/metrics", "/openapi.json", "/explain/{answer_id}", "/patients/{ref}/timeline"}
    | {"/feedback"}
)


class NativeFirst:
    """ASGI middleware: the native app for its routes, ``app`` for all others."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = scope.get("state", {}).get("rule") if scope["type"] == "http" else None
        chosen = native if rule is not None and rule.name in NATIVE else self._app
        await chosen(scope, receive, send)
