"""Ask language models over HTTP: one deadline, one retry layer, failover in order.

Attempts are repeated only where nothing of an answer has arrived and another try may help: no connection, 408, 429 or
5xx, silence while another model is left to ask. A call that is cancelled closes its connection, which is how an
OpenAI-compatible server learns that nobody waits.
"""

from __future__ import annotations

import asyncio
import json
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
LONGEST_REFUSAL = 300  # characters of an upstream's own words
_RETRY_STATUSES = frozenset({408, 409, 425, 429})
_OUR_MISTAKES = frozenset({401, 402, 403, 404, 405, 407})  # the key, the model's name or the address are ours to set

RequestBody = Callable[[Upstream], bytes]


class UpstreamReply:
    """A language model's answer that has begun, and its open connection."""

    def __init__(self, upstream: Upstream, response: aiohttp.ClientResponse, first: bytes) -> None:
        self._upstream = upstream
        self._response = response
        self._first = first
        self._closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; :class:`UpstreamError` ``truncated`` where it has no end."""
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

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the answer in the block: its end closes the connection and informs the breaker."""
        breaker = self._upstream.breaker
        try:
            yield
        except UpstreamError:
            self._close(breaker.record_failure)
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
    http: aiohttp.ClientSession, upstreams: tuple[Upstream, ...], body: RequestBody, until: float, prompt: str
) -> UpstreamReply:
    """The first reply that begins by ``until`` (the loop's clock).

    Raises :class:`UpstreamError` with the last failure, ``resting`` while every breaker is open. ``prompt`` is what an
    upstream's refusal must not repeat.
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
                return await _try_upstream(http, upstream, body(upstream), others, until, prompt)
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
    http: aiohttp.ClientSession, upstream: Upstream, body: bytes, others: int, until: float, prompt: str
) -> UpstreamReply:
    """One attempt: status 200 and a first byte within a share of the time left."""
    left = until - asyncio.get_running_loop().time()
    response: aiohttp.ClientResponse | None = None
    upstream.breaker.enter()
    try:
        async with asyncio.timeout(left / (others + 1)):
            response = await http.post(upstream.url, data=body, headers=upstream.headers, allow_redirects=False)
            if response.status == HTTPStatus.OK:
                first = await response.content.readany()
                if not first:
                    raise UpstreamError("unreachable", backoff=_next_wait(others))
                return UpstreamReply(upstream, response, first)
            refusal = await response.content.read(65536)
            raise status_error(response.status, response.headers, refusal, others, left, prompt)
    except BaseException as error:
        if response is not None:
            response.close()
        raise _record_failure(upstream, error, others) from None


def _record_failure(upstream: Upstream, error: BaseException, others: int) -> BaseException:
    """Tell the breaker of a failed attempt, and give the error to raise for it."""
    if isinstance(error, TimeoutError):
        upstream.breaker.record_failure()
        return UpstreamError("timeout", backoff=NEXT_MODEL_S if others else None)
    if isinstance(error, (aiohttp.ClientError, OSError)):
        upstream.breaker.record_failure()
        return UpstreamError("unreachable", backoff=_next_wait(others))
    if isinstance(error, UpstreamError) and error.reason in ("unreachable", "failed"):
        upstream.breaker.record_failure()
    else:
        upstream.breaker.abandon()
    return error


def status_error(status: int, headers: Any, body: bytes, others: int, left: float, prompt: str) -> UpstreamError:
    """What a status other than 200 means, and whether another attempt may help."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = _parse_seconds(headers.get("retry-after"))
        backoff = _next_wait(others) if wait is None or others else wait
        affordable = None if backoff > min(left, LONGEST_BACKOFF_S) else backoff
        return UpstreamError("rate_limited", affordable, retry_after=round(wait) if wait else 1)
    if status in _RETRY_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR or 300 <= status < 400:
        return UpstreamError("failed", _next_wait(others))
    if status in _OUR_MISTAKES:
        return UpstreamError("failed", NEXT_MODEL_S if others else None)
    return UpstreamError("refused", None, _parse_refusal(status, body, prompt))


def _parse_refusal(status: int, body: bytes, prompt: str) -> UpstreamRefusal:
    """An upstream's own words about a request, unless they repeat the prompt."""
    try:
        error = json.loads(body)["error"]
        message, param, code = str(error["message"]), error.get("param"), error.get("code")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, param, code = "", None, None
    if not message or len(message) > LONGEST_REFUSAL or any(x in message for x in prompt.splitlines() if len(x) > 12):
        message = "the language model does not take this request"
    param, code = (value if isinstance(value, str) and len(value) <= 64 else None for value in (param, code))
    return UpstreamRefusal(status, message, param, code)


def _next_wait(others: int) -> float:
    return NEXT_MODEL_S if others else -1.0


def _parse_seconds(value: str | None) -> float | None:
    try:
        return None if value is None else max(0.0, float(value))
    except ValueError:  # a date: no model server was seen to send one
        return None
