"""Errors below ``/v1`` in the shape that OpenAI's clients read."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from bentos.llm.errors import UpstreamError
from bentos.problems.problem_details import openai_error_type
from pmlm.errors import ForeignPatientError, PmlmError, RecordUnavailableError, ServingError, UnknownPatientError

UNAVAILABLE = "the language model cannot be reached at the moment"
#: Failures of a language model that are no status 502, or have words of their own.
_FAILURES = {
    "timeout": (HTTPStatus.GATEWAY_TIMEOUT, "the language model did not answer in time"),
    "unreachable": (HTTPStatus.BAD_GATEWAY, UNAVAILABLE),
    "failed": (HTTPStatus.BAD_GATEWAY, UNAVAILABLE),
    "resting": (HTTPStatus.SERVICE_UNAVAILABLE, UNAVAILABLE),
    "rate_limited": (HTTPStatus.TOO_MANY_REQUESTS, "the language model takes no more requests at the moment"),
}


class GatewayError(PmlmError):
    """A request that gets an error instead of an answer.

    ``param`` names the field, ``retry_after`` is in seconds.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = int(status)
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after

    @classmethod
    def of_field(cls, param: str, message: str) -> GatewayError:
        """A request (400) whose field ``param`` breaks a rule."""
        return cls(HTTPStatus.BAD_REQUEST, f"{param}: {message}", param=param)

    @property
    def body(self) -> dict[str, Any]:
        """``{"error": {…}}``, as OpenAI's API has it."""
        kind = openai_error_type(self.status)
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """``Retry-After`` where waiting helps."""
        return {} if self.retry_after is None else {"retry-after": str(self.retry_after)}


def explain_failure(error: UpstreamError) -> GatewayError:
    """The application's error where a language model failed."""
    if error.refusal is not None:
        refusal = error.refusal
        return GatewayError(refusal.status, refusal.message, code=refusal.code)
    fallback = (HTTPStatus.BAD_GATEWAY, f"the language model's answer was {error.reason}")
    status, message = _FAILURES.get(error.reason, fallback)
    return GatewayError(status, message, code=error.reason, retry_after=error.retry_after)


def explain_unrecorded(error: RecordUnavailableError) -> GatewayError:
    """The application's error where an answer could not be recorded."""
    return GatewayError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), code="record_unavailable", retry_after=1)


def explain(error: Exception) -> Exception:
    """The application's error for ``error``; an unexpected one stays what it is."""
    if isinstance(error, UpstreamError):
        return explain_failure(error)
    if isinstance(error, TimeoutError):
        return explain_failure(UpstreamError("timeout"))
    if isinstance(error, ForeignPatientError):
        return GatewayError(HTTPStatus.FORBIDDEN, str(error), param="user")
    if isinstance(error, UnknownPatientError):
        return GatewayError(HTTPStatus.NOT_FOUND, str(error), param="user", code="patient_not_found")
    if isinstance(error, RecordUnavailableError):
        return explain_unrecorded(error)
    if isinstance(error, ServingError):
        words = "the clinic's features cannot be read at the moment"
        return GatewayError(HTTPStatus.SERVICE_UNAVAILABLE, words, code="features_unavailable", retry_after=5)
    return error
