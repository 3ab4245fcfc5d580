"""Why a language model gave no whole answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UpstreamRefusal:
    """A model server's own words about a request that it does not take."""

    status: int
    message: str
    param: str | None
    code: str | None


class UpstreamError(Exception):
    """A language model gave no whole answer. Holds no patient's text.

    ``reason`` is one word: ``timeout``, ``unreachable``, ``failed``, ``truncated``, ``malformed``, ``empty``,
    ``rate_limited``, ``refused`` (then with a ``refusal``), ``resting`` (every breaker is open).
    ``backoff`` are the seconds after which another attempt makes sense, None if none does; ``retry_after`` those after
    which a new request does.
    """

    def __init__(
        self,
        reason: str,
        backoff: float | None = None,
        refusal: UpstreamRefusal | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.backoff = backoff
        self.refusal = refusal
        self.retry_after = retry_after
