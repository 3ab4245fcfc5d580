"""The app that is mounted at ``/``: the page's files, and its own routes under ``/page/api/``.

Files are open to anyone and hold nothing of a patient. The routes take JSON by POST, so that no reference to a patient
stands in an address, and answer the principal that the endpoint's door has put into the request.
"""

from __future__ import annotations

from http import HTTPStatus
from importlib import import_module
from pathlib import Path

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bentos.personalizer import current
from bentos.problems.problem_details import refused
from bentos.web.headers import Headers
from bentos.web.page_types import EffectsAsked, EventsAsked, PatientsAsked, RecordAsked
from pmlm.api_types import PROBLEM, PersonalizeRequest, Problem
from pmlm.errors import ForeignPatientError, PmlmError, UnknownPatientError

STATIC = Path(__file__).parent / "static"


def _route(name: str, shape: type[BaseModel]) -> Route:
    """``POST /page/api/<name>``: a body of this shape, answered by the function of that name in a thread."""

    async def endpoint(request: Request) -> Response:
        principal = getattr(request.state, "principal", None)
        if principal is None:  # the door lets nobody in without one; this holds where the app stands alone
            return _problem(refused(HTTPStatus.UNAUTHORIZED, "a token is needed"))
        asked = shape.model_validate_json(await request.body())
        # loaded with the first question: a bento is built from this app without any model
        answer = getattr(import_module("bentos.web.answers"), name)
        answered = await run_in_threadpool(answer, current.personalizer(), principal, asked)
        return Response(answered.model_dump_json(), media_type="application/json")

    return Route(f"/page/api/{name}", endpoint, methods=["POST"])


def _problem(problem: Problem) -> Response:
    return Response(problem.model_dump_json(exclude_none=True), problem.status, media_type=PROBLEM)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "body"
    return _problem(refused(HTTPStatus.BAD_REQUEST, f"{place}: {first['msg']}", place))


def _failed(request: Request, error: Exception) -> Response:
    statuses: dict[type[Exception], HTTPStatus] = {
        ForeignPatientError: HTTPStatus.FORBIDDEN,
        UnknownPatientError: HTTPStatus.NOT_FOUND,
    }
    status = statuses.get(type(error), HTTPStatus.SERVICE_UNAVAILABLE)
    return _problem(refused(status, str(error), "patient" if type(error) in statuses else None))


async def _index(request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


app = Starlette(
    routes=[
        Route("/", _index),
        _route("patients", PatientsAsked),
        _route("record", RecordAsked),
        _route("events", EventsAsked),
        _route("choices", PersonalizeRequest),
        _route("plain", PersonalizeRequest),
        _route("effects", EffectsAsked),
        Mount("/page", StaticFiles(directory=STATIC)),
    ],
    middleware=[Middleware(Headers)],
    exception_handlers={ValidationError: _invalid, PmlmError: _failed},
)
