"""Ask language models over HTTP: one deadline, one retry layer, failover in order.

Attempts are repeated only where nothing of an answer has arrived and another try may help: no connection, 408, 429 or
5xx, silence while another model is left to ask. A call that is cancelled closes its connection, which is how an
OpenAI-compatible server learns that nobody waits.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Any
from urllib.request import getproxies

import aiohttp
import stamina

from bentos.llm.errors import UpstreamError, UpstreamRefusal
from bentos.llm.upstreams import Upstream

ATTEMPTS = 3
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.1, 2.0
NEXT_MODEL_S = 0.001  # before another model is asked there is nothing to wait for
LONGEST_ANSWER = 8 * 1024 * 1024  # bytes
SILENT_S = 1.0  # a server that was asked for less, or spoke more recently, has not failed
_RETRY_STATUSES = frozenset({408, 409, 425, 429})
_OUR_MISTAKES = frozenset({401, 402, 403, 404, 405, 407})  # the key, the model's name or the address are ours to set
#: Code of a refusal → our words for it.
REFUSALS: dict[str | None, str] = {
    None: "the language model does not take this request",
    "context_length_exceeded": "the messages are longer than the language model's context",
    "content_filter": "the language model's provider has filtered this request",
    "content_policy_violation": "the language model's provider has filtered this request",
    "invalid_value": "the language model does not take a value of this request",
    "unsupported_parameter": "the language model does not take a parameter of this request",
    "unsupported_value": "the language model does not take a value of this request",
}

RequestBody = Callable[[Upstream], bytes]


class UpstreamReply:
    """A language model's answer that has begun, and its open connection."""

    def __init__(self, upstream: Upstream, response: aiohttp.ClientResponse, first: bytes) -> None:
        self._upstream = upstream
        self._response = response
        self._first = first
        self._closed = False
        self._heard_at = time.monotonic()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; :class:`UpstreamError` ``truncated`` where it has no end."""
        size = len(self._first)
        yield self._first
        try:
            async for chunk in self._response.content.iter_any():
                self._heard_at = time.monotonic()
                size += len(chunk)
                if size > LONGEST_ANSWER:
                    raise UpstreamError("truncated")
                yield chunk
        except (aiohttp.ClientError, OSError):
            raise UpstreamError("truncated", broken=True) from None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the answer in the block: its end closes the connection and informs the breaker."""
        breaker = self._upstream.breaker
        try:
            yield
        except UpstreamError as error:
            silent = error.reason == "timeout" and time.monotonic() - self._heard_at > SILENT_S
            self._close(breaker.record_failure if error.broken or silent else breaker.abandon)
            raise
        except BaseException:  # cancelled: nobody wants to know any longer
            self.close()
            raise
        self._close(breaker.record_success)

    def close(self) -> None:
        """Give up the rest of the answer; harmless when repeated, or after :meth:`reading`."""
        self._close(self._upstream.breaker.abandon)

    def _close(self, tell_breaker: Callable[[], None]) -> None:
        if self._closed:
            return
        self._closed = True
        tell_breaker()
        if self._response.content.at_eof():
            self._response.release()  # to the pool
        else:
            self._response.close()


def open_session(connections: int) -> aiohttp.ClientSession:
    """A pool of connections; all limits of time are ours."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=30),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        trust_env=bool(getproxies()),
        auto_decompress=True,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


@asynccontextmanager
async def deadline_at(until: float) -> AsyncIterator[None]:
    """Give the block up at ``until`` (the loop's clock): :class:`UpstreamError` ``timeout``."""
    try:
        async with asyncio.timeout_at(until):
            yield
    except TimeoutError:
        raise UpstreamError("timeout") from None


async def ask_upstreams(
    http: aiohttp.ClientSession, upstreams: tuple[Upstream, ...], body: RequestBody, until: float
) -> UpstreamReply:
    """The first reply that begins by ``until`` (the loop's clock).

    Raises :class:`UpstreamError` with the last failure, ``resting`` while every breaker is open.
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
    async with deadline_at(until):
        async for attempt in attempts:
            with attempt:
                upstream, others = choose_upstream(upstreams, tried)
                tried.append(upstream)
                return await _try_upstream(http, upstream, body(upstream), others, until)
    raise UpstreamError("failed")


def _backoff(error: Exception) -> bool | float:
    """Seconds until another attempt; False: none; True: stamina's growing default."""
    if not isinstance(error, UpstreamError) or error.backoff is None:
        return False
    return True if error.backoff < 0 else error.backoff


def choose_upstream(upstreams: tuple[Upstream, ...], tried: list[Upstream]) -> tuple[Upstream, int]:
    """The model to ask now, untried ones first; and how many others are untried."""
    awake = [u for u in upstreams if u.breaker.wait == 0]
    if not awake:
        wait = min(u.breaker.wait for u in upstreams)
        raise UpstreamError("resting", retry_after=max(1, round(wait + 0.5)))
    untried = [u for u in awake if u not in tried]
    return (untried[0], len(untried) - 1) if untried else (awake[len(tried) % len(awake)], 0)


async def _try_upstream(
    http: aiohttp.ClientSession, upstream: Upstream, body: bytes, others: int, until: float
) -> UpstreamReply:
    """One attempt: status 200 and a first byte within a share of the time left."""
    left = until - asyncio.get_running_loop().time()
    share = left / (others + 1)
    response: aiohttp.ClientResponse | None = None
    upstream.breaker.enter()
    try:
        async with asyncio.timeout(share):
            response = await http.post(upstream.url, data=body, headers=upstream.headers, allow_redirects=False)
            if response.status == HTTPStatus.OK:
                first = await response.content.readany()
                if not first:
                    raise UpstreamError("unreachable", _next_wait(others), broken=True)
                return UpstreamReply(upstream, response, first)
            refusal = await response.content.read(65536)
            raise status_error(response.status, response.headers, refusal, others, left)
    except BaseException as error:
        if response is not None:
            response.close()
        raise _record_failure(upstream, error, others, share) from None


def _record_failure(upstream: Upstream, error: BaseException, others: int, share: float) -> BaseException:
    """Tell the breaker of a failed attempt of ``share`` seconds, and give the error to raise for it."""
    if isinstance(error, TimeoutError):
        error = UpstreamError("timeout", NEXT_MODEL_S if others else None, broken=share > SILENT_S)
    elif isinstance(error, (aiohttp.ClientError, OSError)):
        error = UpstreamError("unreachable", _next_wait(others), broken=True)
    if isinstance(error, UpstreamError) and error.broken:
        upstream.breaker.record_failure()
    else:
        upstream.breaker.abandon()
    return error


def status_error(status: int, headers: Any, body: bytes, others: int, left: float) -> UpstreamError:
    """What a status other than 200 means, and whether another attempt may help."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = _parse_seconds(headers.get("retry-after"))
        backoff = _next_wait(others) if wait is None or others else wait
        affordable = None if backoff > min(left, LONGEST_BACKOFF_S) else backoff
        return UpstreamError("rate_limited", affordable, retry_after=round(wait) if wait else 1)
    if status in _RETRY_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR or 300 <= status < 400:
        broken = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return UpstreamError("failed", _next_wait(others), broken=broken)
    if status in _OUR_MISTAKES:
        return UpstreamError("failed", NEXT_MODEL_S if others else None)
    return UpstreamError("refused", None, _parse_refusal(status, body))


def _parse_refusal(status: int, body: bytes) -> UpstreamRefusal:
    """Why a request is refused: none of the upstream's words, and its code where that is a well-known one."""
    try:
        code = json.loads(body)["error"].get("code")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        code = None
    known = code if isinstance(code, str) and code in REFUSALS else None
    return UpstreamRefusal(status, REFUSALS[known], known)


def _next_wait(others: int) -> float:
    return NEXT_MODEL_S if others else -1.0


def _parse_seconds(value: str | None) -> float | None:
    try:
        return None if value is None else max(0.0, float(value))
    except ValueError:  # a date: no model server was seen to send one
        return None
