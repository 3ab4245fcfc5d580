"""The app mounted at ``/``: the page's files, and its own routes under ``/page/api/``.

Files are open to anyone and hold nothing of a patient. The routes take JSON by POST, so that no reference to a patient
stands in an address, and answer the principal that the access middleware has put into the request.
"""

from __future__ import annotations

from http import HTTPStatus
from importlib import import_module
from pathlib import Path

import anyio.to_thread
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bentos.auth.routes import READ
from bentos.personalizer import current
from bentos.problems import error_handlers
from bentos.problems.problem_details import make_problem
from bentos.problems.thread_limits import loop_limiter
from bentos.web import reference
from bentos.web.headers import SecurityHeadersMiddleware
from bentos.web.operations.page import render_page
from bentos.web.page_types import EffectsRequest, EventsRequest, PatientsRequest, RecordRequest
from pmlm.api_types import PROBLEM, PersonalizeRequest, Problem
from pmlm.errors import PmlmError, ServingError
from pmlm.operations_types import read_operations

#: Measurements of effects that may wait for the one under way; each takes seconds of all cores.
MOST_WAITING = 4
STATIC = Path(__file__).parent / "static"


def _make_route(name: str, shape: type[BaseModel]) -> Route:
    """``POST /page/api/<name>``: a body of this shape for the function of that name."""

    async def endpoint(request: Request) -> Response:
        principal = getattr(request.state, "principal", None)
        if principal is None:  # the access middleware lets nobody in without one; for where the app runs alone
            return _answer_problem(make_problem(HTTPStatus.UNAUTHORIZED, "a token is needed"))
        page_request = shape.model_validate_json(await request.body())
        # loaded with the first question: a bento is built from this app without any model
        answer = getattr(import_module("bentos.web.answers"), name)
        personalizer = current.personalizer()
        limiter = loop_limiter("effects", 1) if name == "effects" else None
        if limiter is not None and limiter.statistics().tasks_waiting >= MOST_WAITING:
            raise ServingError("too many measurements at once")
        response = await anyio.to_thread.run_sync(answer, personalizer, principal, page_request, limiter=limiter)
        return Response(response.model_dump_json(), media_type="application/json")

    return Route(f"/page/api/{name}", endpoint, methods=["POST"])


def _answer_problem(problem: Problem) -> Response:
    return Response(problem.model_dump_json(exclude_none=True), problem.status, media_type=PROBLEM)


def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "body"
    return _answer_problem(make_problem(HTTPStatus.BAD_REQUEST, f"{place}: {first['msg']}", place))


async def _show_index(request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def _show_operations(request: Request) -> Response:
    return FileResponse(STATIC / "operations.html")


async def _show_figures(request: Request) -> Response:
    """The figures of the operations page as HTML, or as JSON where that is asked for."""
    principal = getattr(request.state, "principal", None)
    if principal is None or not principal.may_speak_as_clinician(READ):
        return _answer_problem(make_problem(HTTPStatus.FORBIDDEN, "this is for tokens of the whole clinic"))
    found = await anyio.to_thread.run_sync(read_operations, current.personalizer().settings)
    if "application/json" in request.headers.get("accept", ""):
        return Response(found.model_dump_json(), media_type="application/json")
    return HTMLResponse(render_page(found))


app = Starlette(
    routes=[
        Route("/", _show_index),
        Route("/ops", _show_operations),
        Route("/ops/figures", _show_figures),
        *reference.ROUTES,
        _make_route("patients", PatientsRequest),
        _make_route("record", RecordRequest),
        _make_route("events", EventsRequest),
        _make_route("choices", PersonalizeRequest),
        _make_route("plain", PersonalizeRequest),
        _make_route("effects", EffectsRequest),
        _make_route("questions", RecordRequest),
        _make_route("reply", PersonalizeRequest),
        Mount("/page", StaticFiles(directory=STATIC)),
    ],
    middleware=[Middleware(SecurityHeadersMiddleware)],
    exception_handlers={ValidationError: _answer_invalid, PmlmError: error_handlers.answer_error},
)
