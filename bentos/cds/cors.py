"""Cross-origin calls of the CDS services by clients that run in a browser, as CDS Hooks asks for.

Outside of the door, so that a preflight (which carries no token) is answered and a refusal can be read. Nothing depends
on cookies: a page of another origin gets nothing without a token of its own, so any origin may ask unless
``PMLM_CDS_ORIGINS`` names some.
"""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware

from bentos.problems.problem_details import App, Receive, Scope, Send
from pmlm.settings import Settings, load_settings

PREFIX = "/cds-services"
HEADERS = ("authorization", "content-type", "accept-language")
MAX_AGE_S = 600


class CrossOrigin:
    """ASGI middleware: ``app``, with CORS below ``/cds-services`` and nowhere else."""

    def __init__(self, app: App, settings: Settings | None = None) -> None:
        self._app = app
        origins = (settings or load_settings()).cds_origins.replace(",", " ").split()
        self._open = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=HEADERS,
            expose_headers=["retry-after", "www-authenticate"],
            max_age=MAX_AGE_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        below = scope["type"] == "http" and (scope["path"] == PREFIX or scope["path"].startswith(f"{PREFIX}/"))
        await (self._open if below else self._app)(scope, receive, send)
