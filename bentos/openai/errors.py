"""What goes wrong below ``/v1``, in the shape that OpenAI's clients read; and what an upstream did wrong."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pmlm.errors import PmlmError

#: HTTP status → OpenAI's ``type``; every other 4xx is an ``invalid_request_error``.
KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
UNAVAILABLE = "the language model cannot be reached at the moment"


class GatewayError(PmlmError):
    """A request that gets an error instead of an answer. ``param`` names the field, ``retry_after`` is in seconds."""

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

    @property
    def body(self) -> dict[str, Any]:
        """``{"error": {…}}``, as OpenAI's API says it."""
        server = self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        kind = KINDS.get(self.status, "server_error" if server else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """``Retry-After`` where waiting helps."""
        return {} if self.retry_after is None else {"retry-after": str(self.retry_after)}


class UpstreamError(Exception):
    """A language model gave no whole answer. Holds no text of a patient's.

    ``reason`` is one word (``timeout``, ``unreachable``, ``truncated``, ``malformed``, ``empty``, ``rate_limited``,
    ``failed``, ``refused``); ``backoff`` the seconds after which another attempt makes sense, None if none does.
    """

    def __init__(self, reason: str, backoff: float | None = None, refusal: GatewayError | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.backoff = backoff
        self.refusal = refusal

    def told(self) -> GatewayError:
        """What the application is told."""
        if self.refusal is not None:
            return self.refusal
        if self.reason == "timeout":
            return GatewayError(HTTPStatus.GATEWAY_TIMEOUT, "the language model did not answer in time", code="timeout")
        if self.reason in ("unreachable", "failed"):
            return GatewayError(HTTPStatus.BAD_GATEWAY, UNAVAILABLE, code=self.reason)
        return GatewayError(HTTPStatus.BAD_GATEWAY, f"the language model's answer was {self.reason}", code=self.reason)
