"""Answer errors of our FastAPI apps as problems (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError

from bentos.problems.problem_details import make_problem
from pmlm.api_types import PROBLEM, Problem
from pmlm.errors import (
    AccessError,
    ForeignPatientError,
    PmlmError,
    RecordUnavailableError,
    ServingError,
    UnknownAnswerError,
    UnknownFactError,
    UnknownPatientError,
)

#: Error → status and the field it is about; the first match counts.
STATUS: tuple[tuple[type[PmlmError], HTTPStatus, str | None], ...] = (
    (UnknownPatientError, HTTPStatus.NOT_FOUND, "patient"),
    (UnknownAnswerError, HTTPStatus.NOT_FOUND, "answer_id"),
    (UnknownFactError, HTTPStatus.NOT_FOUND, "fact"),
    (ForeignPatientError, HTTPStatus.FORBIDDEN, "patient"),
    (AccessError, HTTPStatus.FORBIDDEN, None),
    (ServingError, HTTPStatus.SERVICE_UNAVAILABLE, None),
)


#: Error → seconds after which the same request may be answered; the first match counts.
RETRY_AFTER: tuple[tuple[type[PmlmError], int], ...] = ((RecordUnavailableError, 1), (ServingError, 5))


def install(app: FastAPI) -> None:
    """Let ``app`` answer our errors and invalid requests as problems."""
    app.add_exception_handler(PmlmError, answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)


def _answer_invalid(_: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": "is not valid"}
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path")) or "body"
    problem = make_problem(HTTPStatus.BAD_REQUEST, f"{place}: {first['msg']}", place)
    return Response(problem.model_dump_json(exclude_none=True), status_code=problem.status, media_type=PROBLEM)


def status_of(error: Exception) -> tuple[HTTPStatus, str | None]:
    """The HTTP status for an error, and the field that it is about."""
    found = ((status, field) for kind, status, field in STATUS if isinstance(error, kind))
    return next(found, (HTTPStatus.INTERNAL_SERVER_ERROR, None))


def problem_of(error: Exception) -> tuple[Problem, dict[str, str]]:
    """The problem to answer for an error, and its headers; nothing of an error that is none of ours."""
    status, field = status_of(error)
    detail = str(error) if status != HTTPStatus.INTERNAL_SERVER_ERROR else status.phrase
    wait = next((seconds for kind, seconds in RETRY_AFTER if isinstance(error, kind)), None)
    return make_problem(status, detail, field), {} if wait is None else {"retry-after": str(wait)}


def answer_error(_: Request, error: Exception) -> Response:
    """The response for an error of ours."""
    problem, headers = problem_of(error)
    return Response(problem.model_dump_json(exclude_none=True), problem.status, headers, media_type=PROBLEM)
