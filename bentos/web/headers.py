"""Security headers: a browser runs the page's own files alone.

No inline script or style, no other origin, no frame, no form that is sent by the browser itself, no referrer, and no
copy of anything about a patient in a cache.
"""

from __future__ import annotations

from bentos.problems.problem_details import App, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
#: Of the reference alone, whose library styles its elements inline and makes them of sanitized text.
REFERENCE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
#: Paths whose answers no cache may store.
UNCACHED = ("/page/api/", "/ops/figures")
FIXED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class SecurityHeadersMiddleware:
    """ASGI middleware: these headers on every response of the page."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy = REFERENCE_POLICY if scope["path"].startswith("/docs") else POLICY
        caching = "no-store" if scope["path"].startswith(UNCACHED) else "no-cache"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                fixed = {**FIXED, "content-security-policy": policy, "cache-control": caching}
                others = [(n, v) for n, v in message["headers"] if n.decode("latin-1").lower() not in fixed]
                message["headers"] = [*others, *((n.encode(), v.encode()) for n, v in fixed.items())]
            await send(message)

        await self._app(scope, receive, send_with_headers)
