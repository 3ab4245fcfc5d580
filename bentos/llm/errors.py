"""Why a language model gave no whole answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UpstreamRefusal:
    """Why a model server does not take a request, in words of ours: it may have repeated the prompt in its own."""

    status: int
    message: str
    code: str | None


class UpstreamError(Exception):
    """A language model gave no whole answer. Holds no patient's text.

    ``reason`` is one word: ``timeout``, ``unreachable``, ``failed``, ``truncated``, ``malformed``, ``empty``,
    ``rate_limited``, ``refused`` (then with a ``refusal``), ``resting`` (every breaker is open).
    ``broken``: the server failed (no connection, 5xx, silence), rather than this request; breakers count that alone.
    ``backoff`` are the seconds after which another attempt makes sense, None if none does; ``retry_after`` those after
    which a new request does.
    """

    def __init__(
        self,
        reason: str,
        backoff: float | None = None,
        refusal: UpstreamRefusal | None = None,
        retry_after: int | None = None,
        *,
        broken: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.backoff = backoff
        self.refusal = refusal
        self.retry_after = retry_after
        self.broken = broken
