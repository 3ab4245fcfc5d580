"""Asking a language model: one deadline, one retry layer, failover in order, and no retry once it has begun to answer.

Attempts are repeated only where nothing of an answer has arrived and another try may help: no connection, 408, 429 or
5xx, silence while another model is left to ask. A call that is cancelled closes its connection, which is how an
OpenAI-compatible server learns that nobody waits.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any
from urllib.request import getproxies

import aiohttp
import stamina

from bentos.openai.errors import UNAVAILABLE, GatewayError, UpstreamError
from bentos.openai.upstreams import Upstream

ATTEMPTS = 3
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.1, 2.0
NEXT_MODEL_S = 0.001  # before another model is asked there is nothing to wait for
LONGEST_ANSWER = 8 * 1024 * 1024  # bytes
LONGEST_REFUSAL = 300  # characters of an upstream's own words
_AGAIN = frozenset({408, 409, 425, 429})
_OWN_FAULT = frozenset({401, 402, 403, 404, 405, 407})  # the key, the model's name or the address are ours to set

Body = Callable[[Upstream], bytes]


class Answering:
    """A language model that has begun to answer: where from, its first bytes, and what follows.

    Whoever has one says once how it ended: :meth:`close`, which leaves a connection that was read to its end to the
    pool and breaks every other.
    """

    def __init__(self, upstream: Upstream, response: aiohttp.ClientResponse, first: bytes) -> None:
        self.upstream = upstream
        self._response = response
        self._first = first
        self._closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; :class:`UpstreamError` ``truncated`` where the connection breaks, or it never ends."""
        size = len(self._first)
        yield self._first
        try:
            async for chunk in self._response.content.iter_any():
                size += len(chunk)
                if size > LONGEST_ANSWER:
                    raise UpstreamError("truncated")
                yield chunk
        except (aiohttp.ClientError, OSError):
            raise UpstreamError("truncated") from None

    async def whole(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])

    def close(self, whole: bool | None = None) -> None:
        """``whole`` says whether the answer was; None: nobody wanted to know any longer. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        breaker = self.upstream.breaker
        {None: breaker.abandoned, True: breaker.succeeded, False: breaker.failed}[whole]()
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


def session(most: int) -> aiohttp.ClientSession:
    """The one pool of connections of a worker; all limits of time are ours."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=most, keepalive_timeout=30),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        trust_env=bool(getproxies()),
        auto_decompress=True,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def begun(
    http: aiohttp.ClientSession, upstreams: tuple[Upstream, ...], body: Body, until: float, prompt: str
) -> Answering:
    """A model that answers, by ``until`` (the loop's clock).

    Raises :class:`UpstreamError` with the last failure, or :class:`GatewayError` (503) while every model is resting.
    ``prompt`` is kept out of what an upstream's refusal says.
    """
    tried: list[Upstream] = []
    attempts = stamina.retry_context(
        on=_backoff,
        attempts=max(ATTEMPTS, len(upstreams)),
        timeout=None,
        wait_initial=FIRST_BACKOFF_S,
        wait_max=LONGEST_BACKOFF_S,
        wait_jitter=FIRST_BACKOFF_S,
    )
    async for attempt in attempts:
        with attempt:
            upstream, fresh = _next(upstreams, tried)
            tried.append(upstream)
            return await _attempt(http, upstream, body(upstream), fresh, until, prompt)
    raise UpstreamError("failed")


def _backoff(error: Exception) -> bool | float:
    """Whether, and after how long, another attempt makes sense (a negative wait leaves it to the growing default)."""
    if not isinstance(error, UpstreamError) or error.backoff is None:
        return False
    return True if error.backoff < 0 else error.backoff


def _next(upstreams: tuple[Upstream, ...], tried: list[Upstream]) -> tuple[Upstream, int]:
    """The model to ask now, and how many beside it were not asked yet: untried ones first, resting ones never."""
    awake = [u for u in upstreams if u.breaker.wait == 0]
    if not awake:
        wait = min(u.breaker.wait for u in upstreams)
        raise GatewayError(
            HTTPStatus.SERVICE_UNAVAILABLE, UNAVAILABLE, code="resting", retry_after=max(1, round(wait + 0.5))
        )
    fresh = [u for u in awake if u not in tried]
    return (fresh[0], len(fresh) - 1) if fresh else (awake[(len(tried)) % len(awake)], 0)


async def _attempt(
    http: aiohttp.ClientSession, upstream: Upstream, body: bytes, fresh: int, until: float, prompt: str
) -> Answering:
    """One try: a status of 200 and the first byte, within a fair share of what is left of the deadline."""
    left = until - asyncio.get_running_loop().time()
    response: aiohttp.ClientResponse | None = None
    upstream.breaker.enter()
    try:
        async with asyncio.timeout(left / (fresh + 1)):
            response = await http.post(upstream.url, data=body, headers=upstream.headers, allow_redirects=False)
            if response.status == HTTPStatus.OK:
                first = await response.content.readany()
                if not first:
                    raise UpstreamError("unreachable", backoff=_soon(fresh))
                return Answering(upstream, response, first)
            raise _failure(response.status, response.headers, await response.content.read(65536), fresh, left, prompt)
    except BaseException as error:
        if response is not None:
            response.close()
        raise _noted(upstream, error, fresh) from None


def _noted(upstream: Upstream, error: BaseException, fresh: int) -> BaseException:
    """``error`` as this module tells it, after the breaker was told."""
    if isinstance(error, TimeoutError):
        upstream.breaker.failed()
        return UpstreamError("timeout", backoff=NEXT_MODEL_S if fresh else None)
    if isinstance(error, (aiohttp.ClientError, OSError)):
        upstream.breaker.failed()
        return UpstreamError("unreachable", backoff=_soon(fresh))
    if isinstance(error, UpstreamError) and error.reason in ("unreachable", "failed"):
        upstream.breaker.failed()
    else:
        upstream.breaker.abandoned()
    return error


def _failure(status: int, headers: Any, body: bytes, fresh: int, left: float, prompt: str) -> UpstreamError:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = _seconds(headers.get("retry-after"))
        told = GatewayError(
            status, "the language model takes no more requests at the moment", code="rate_limited",
            retry_after=round(wait) if wait else 1,
        )  # fmt: skip
        backoff = _soon(fresh) if wait is None or fresh else wait
        return UpstreamError("rate_limited", None if backoff > min(left, LONGEST_BACKOFF_S) else backoff, told)
    if status in _AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR or 300 <= status < 400:
        return UpstreamError("failed", _soon(fresh))
    if status in _OWN_FAULT:
        return UpstreamError("failed", NEXT_MODEL_S if fresh else None)
    return UpstreamError("refused", None, _refusal(status, body, prompt))


def _refusal(status: int, body: bytes, prompt: str) -> GatewayError:
    """An upstream's own words about a request it does not take, unless they repeat the prompt."""
    try:
        error = json.loads(body)["error"]
        message, param, code = str(error["message"]), error.get("param"), error.get("code")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, param, code = "", None, None
    if not message or len(message) > LONGEST_REFUSAL or any(x in message for x in prompt.splitlines() if len(x) > 12):
        message = "the language model does not take this request"
    known = [value if isinstance(value, str) and len(value) <= 64 else None for value in (param, code)]
    return GatewayError(status, message, param=known[0], code=known[1])


def _soon(fresh: int) -> float:
    return NEXT_MODEL_S if fresh else -1.0


def _seconds(value: str | None) -> float | None:
    try:
        return None if value is None else max(0.0, float(value))
    except ValueError:  # a date: no model server was seen to send one
        return None
