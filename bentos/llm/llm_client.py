"""One set of upstreams and breakers per service, for async and blocking callers.

Each event loop has a pool of connections of its own. Blocking callers (BentoML's and the page's threads, the command
line) are served by one loop that runs in a thread of its own, started with the first of them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import aiohttp

from bentos.llm.embedded_answer import RestatedReply
from bentos.llm.errors import UpstreamError
from bentos.llm.replies import parse_completion
from bentos.llm.upstream_client import RequestBody, UpstreamReply, ask_upstreams, deadline_at, open_session
from bentos.llm.upstreams import Upstream, choose_own_model, read_upstreams, start_own_model
from pmlm.settings import Settings
from pmlm.worker_count import share_limit

#: Answers that a model of this process may have waiting: it writes one at a time, in seconds.
OWN_CAPACITY = 8
CLOSE_S = 5.0

T = TypeVar("T")


class LLMClient:
    """The language models of one service."""

    def __init__(self, settings: Settings, upstreams: tuple[Upstream, ...] = ()) -> None:
        """``upstreams`` are asked instead of the settings' own, if any are given."""
        self._upstreams = upstreams or read_upstreams(settings)
        self._own = None if self._upstreams else choose_own_model(settings)
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._thread_loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()
        self._loading = threading.Lock()
        #: Requests that may be under way at once in this worker.
        self.capacity = OWN_CAPACITY if self._own else share_limit(settings.llm_concurrency, settings)
        #: Tokens of prompt, messages and answer together; None: not known.
        self.context = settings.llm_context_tokens or (self._own.context if self._own else None)
        if self.restates:
            self.context = None  # whatever the prompt's length, its facts can be restated

    @property
    def models(self) -> list[str]:
        """The models that may answer, in failover order."""
        return [self._own.id] if self._own else [u.name for u in self._upstreams]

    @property
    def embedded(self) -> bool:
        """Whether what PMLM brings along answers: the small model, or the embedded answer."""
        return self._own.path is None if self._own else self._upstreams[0].embedded

    @property
    def restates(self) -> bool:
        """Whether no model is asked: an answer restates the prompt's facts."""
        return self._own is None and self._upstreams[0].restates

    async def upstreams(self) -> tuple[Upstream, ...]:
        """The models in failover order; loads one of this process on first use."""
        return self._upstreams or await asyncio.to_thread(self._start_own)

    async def begin(
        self, upstreams: tuple[Upstream, ...], body: RequestBody, until: float
    ) -> UpstreamReply | RestatedReply:
        """A reply that has begun; see :func:`ask_upstreams`. Of the embedded answer ``body`` is the reply itself."""
        if upstreams[0].restates:
            return RestatedReply(body(upstreams[0]))
        return await ask_upstreams(self._session(), upstreams, body, until)

    async def begin_stream(
        self, upstreams: tuple[Upstream, ...], body: RequestBody, until: float
    ) -> UpstreamReply | RestatedReply:
        """:meth:`begin` for a stream that is asked for its usage, unless the server is known to refuse that.

        A refused request is sent once more without asking; what is then taken was refused for that alone.
        """
        asked: list[Upstream] = []

        def note(upstream: Upstream) -> bytes:
            asked.append(upstream)
            return body(upstream)

        try:
            return await self.begin(upstreams, note, until)
        except UpstreamError as error:
            if error.refusal is None or not asked[-1].counts_streams:
                raise
        refuser = asked[-1]
        refuser.counts_streams = False
        try:
            return await self.begin((refuser,), body, until)
        except UpstreamError:
            refuser.counts_streams = True
            raise

    async def complete(self, upstreams: tuple[Upstream, ...], body: RequestBody, until: float) -> dict[str, Any]:
        """A whole completion by ``until`` (the loop's clock); :class:`UpstreamError` where there is none."""
        reply = await self.begin(upstreams, body, until)
        with reply.reading():
            async with deadline_at(until):
                return parse_completion(b"".join([chunk async for chunk in reply.chunks()]))

    def complete_blocking(self, body: RequestBody, until: float) -> dict[str, Any]:
        """:meth:`complete` for a thread without an event loop; ``until`` is on ``time.monotonic()``'s clock."""
        loop = self._start_loop()

        async def ask() -> dict[str, Any]:
            ends = loop.time() + until - time.monotonic()
            async with deadline_at(ends):
                upstreams = await self.upstreams()
            return await self.complete(upstreams, body, ends)

        answer = asyncio.run_coroutine_threadsafe(ask(), loop)
        try:
            return answer.result(max(0.0, until - time.monotonic()) + CLOSE_S)
        except TimeoutError:  # the loop was ended meanwhile
            raise UpstreamError("timeout") from None

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run ``work`` on the event loop of blocking callers."""
        return asyncio.run_coroutine_threadsafe(work, self._start_loop())

    async def close(self) -> None:
        """End the connections of the running loop, and the thread of blocking callers."""
        await self._close_session()
        await asyncio.to_thread(self.close_blocking)

    def close_blocking(self) -> None:
        """End the thread of blocking callers; the next such call starts it again."""
        with self._starting:
            loop, self._thread_loop = self._thread_loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._close_session(), loop).result(CLOSE_S)
            loop.call_soon_threadsafe(loop.stop)

    def _start_own(self) -> tuple[Upstream, ...]:
        with self._loading:
            if not self._upstreams and self._own:
                self._upstreams = start_own_model(self._own)
            return self._upstreams

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            self._sessions[loop] = open_session(self.capacity)
        return self._sessions[loop]

    async def _close_session(self) -> None:
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    def _start_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of blocking callers, started with the first of them."""
        with self._starting:
            if self._thread_loop is None:
                self._thread_loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._thread_loop,), name="pmlm-llm", daemon=True).start()
            return self._thread_loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
