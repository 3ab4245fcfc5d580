"""``GET /docs``: the endpoint's OpenAPI document, drawn by the Swagger UI that BentoML ships.

Nothing comes from another host. The page is open to anyone and holds nothing of a patient; whoever tries a route there
enters a token, which the page forgets when it is closed. Swagger UI styles its elements inline and builds them from
text that it sanitizes itself, so this one path has a policy of its own (``headers``).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

STATIC = Path(__file__).parent / "static"
FILES = ("swagger-ui.css", "swagger-ui-bundle.js")


def find_files() -> Path:
    """The folder of Swagger UI inside the installed BentoML, found without importing it."""
    spec = find_spec("bentoml")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("bentoml is not installed: it holds Swagger UI")
    return Path(spec.origin).parent / "_internal" / "server" / "static_content"


async def _show_reference(request: Request) -> Response:
    return FileResponse(STATIC / "reference.html")


async def _send_file(request: Request) -> Response:
    return FileResponse(find_files() / Path(request.url.path).name)


ROUTES: tuple[BaseRoute, ...] = (
    Route("/docs", _show_reference),
    *(Route(f"/docs/files/{name}", _send_file) for name in FILES),
)
