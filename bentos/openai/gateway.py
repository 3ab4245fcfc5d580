"""One chat completion's way through PMLM: admitted, prepared, asked, checked, shown, recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from bentos.auth.principal import Principal
from bentos.openai import chat, context_budget, upstream_client, upstreams
from bentos.openai.admission import Admission, Ticket
from bentos.openai.answers import Answers, Asking
from bentos.openai.batcher import Preparing
from bentos.openai.chat import Chat
from bentos.openai.completions import Shown
from bentos.openai.connection import EventStream, unless_gone
from bentos.openai.errors import GatewayError, UpstreamError
from bentos.openai.sse import encoded
from bentos.openai.upstreams import Upstream
from feature_repo.store.online import StoreDownError
from models.llm import EMBEDDED_CONTEXT, load_tokenizer
from models.prompt.candidates import drug_allergies
from models.safety.answer_check import Flag, check_answer, context_of, red_flags
from pmlm.api_types import MAX_QUESTION
from pmlm.errors import ForeignPatientError, ServingError, UnknownPatientError

if TYPE_CHECKING:
    from bentos.personalizer.personalizer import Personalizer, Prepared

#: A stream's client may read on for this long after the deadline; nothing new is produced then.
GRACE_S = 5.0
#: A machine too busy to prepare an answer by the deadline has this long more for one that begins with an escalation.
FLAGGED_S = 20.0


class Gateway:
    """The gateway of one personalizer on one event loop."""

    def __init__(self, personalizer: Personalizer) -> None:
        settings = personalizer.settings
        self._personalizer = personalizer
        self._seconds = settings.llm_timeout_s
        self._upstreams = upstreams.configured(settings)
        inside = settings.llm_concurrency if self._upstreams else upstreams.EMBEDDED_INSIDE
        self._context = settings.llm_context_tokens or (None if self._upstreams else EMBEDDED_CONTEXT)
        self._admission = Admission(settings.queue, inside)
        self._preparing = Preparing(personalizer.foresee, personalizer.forget)
        self._http = upstream_client.session(inside)
        self._answers = Answers(personalizer, self._http)

    @property
    def models(self) -> list[str]:
        """What ``/v1/models`` lists: the language models that may answer, in failover order."""
        return [u.model for u in self._upstreams] or [self._personalizer.llm.id]

    def refusal(self) -> GatewayError | None:
        """Why a request would find no place now, None where it would."""
        return self._admission.refusal()

    async def close(self) -> None:
        """Give connections and threads back."""
        self._preparing.close()
        await self._http.close()

    async def respond(self, request: Request) -> Response:
        """The answer to ``POST /v1/chat/completions``; raises :class:`GatewayError` for what it can explain."""
        started, until = time.perf_counter(), asyncio.get_running_loop().time() + self._seconds
        ticket = self._admission.enter()  # first: a request that finds no place must cost next to nothing
        async with AsyncExitStack() as stack:
            stack.callback(ticket.leave)
            asked = chat.read(await request.body(), request.headers.get(chat.PATIENT_HEADER))
            try:
                asking, events = await unless_gone(
                    request.receive, self._begun(request, asked, ticket, until, started, stack)
                )
            except Exception as error:
                raise told(error) from None
            headers = {
                "x-pmlm-answer-id": asking.prepared.id,
                "x-pmlm-personalization": asking.response.personalization,
            }
            if asking.response.degraded:
                headers["x-pmlm-degraded"] = asking.response.degraded
            if isinstance(events, dict):
                return Response(encoded(events), media_type="application/json", headers=headers)
            late = max(until, asyncio.get_running_loop().time())  # a flagged question may be past its deadline here
            return EventStream(events, late + GRACE_S, headers, stack.pop_all())
        raise AssertionError("the stack swallows nothing")

    async def _begun(
        self, request: Request, asked: Chat, ticket: Ticket, until: float, started: float, stack: AsyncExitStack
    ) -> tuple[Asking, dict[str, Any] | AsyncGenerator[bytes]]:
        """The whole answer, or a stream of which it is known that it begins."""
        asking = await _in_time(self._prepared(request.state.principal, asked, until, started), asked, until)
        ticket.prepared()
        # from here on only the language model is given up at the deadline: an escalation is told all the same
        if not asked.stream:
            return asking, await self._answers.whole(asking)
        if asking.response.escalation:
            return asking, self._answers.escalating(asking)
        if asking.held:
            return asking, await self._answers.held(asking)
        return asking, await self._answers.speaking(asking, stack)

    async def _prepared(self, principal: Principal, asked: Chat, until: float, started: float) -> Asking:
        def work() -> tuple[Prepared, tuple[Flag, ...]]:
            prepared = self._personalizer.prepare(principal, asked.reference, asked.question)
            return prepared, self._personalizer.flags_before(prepared, [t[:MAX_QUESTION] for t in asked.earlier])

        prepared, before = await self._preparing.run(asked.question, work)
        order = upstreams.in_order(await self._models(), asked.body.get("model"))
        prompt, picks = context_budget.fitted(prepared.made, asked.messages, self._context, asked.reserve, self._count)
        flags = prepared.made.flags or before
        allergies = drug_allergies(prepared.row)
        known = context_of(prepared.row, datetime.fromisoformat(prepared.response.versions.as_of))

        def check(text: str) -> tuple[str, ...]:
            return check_answer(text, allergies, flags, prepared.made.language, known)

        response = context_budget.shortened(prepared.response, prompt, picks)
        shown = Shown(order[0].model, order[0].embedded)
        return Asking(asked, prepared, response, prompt, order, check, bool(flags), until, started, shown)

    @cached_property
    def _count(self) -> Callable[[str], int]:
        """Tokens of a text; not remembered, because an application's messages are nobody's to keep."""
        tokenizer = load_tokenizer(self._personalizer.settings.embedded_llm)
        return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)

    async def _models(self) -> tuple[Upstream, ...]:
        if not self._upstreams:
            self._upstreams = await asyncio.to_thread(upstreams.embedded, self._personalizer.llm)
        return self._upstreams


async def _in_time(preparing: Coroutine[Any, Any, Asking], asked: Chat, until: float) -> Asking:
    """What is prepared by the deadline (``TimeoutError`` else), or a while after it where a red flag is to be told."""
    task = asyncio.ensure_future(preparing)
    try:
        left = until - asyncio.get_running_loop().time()
        await asyncio.wait({task}, timeout=max(0.0, left))
        if not task.done() and any(red_flags(text[:MAX_QUESTION]) for text in (asked.question, *asked.earlier)):
            await asyncio.wait({task}, timeout=FLAGGED_S)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()


def told(error: Exception) -> Exception:
    """What the application is told of an error; one that nobody expected stays what it is."""
    if isinstance(error, UpstreamError):
        return error.told()
    if isinstance(error, TimeoutError):
        return UpstreamError("timeout").told()
    if isinstance(error, ForeignPatientError):
        return GatewayError(HTTPStatus.FORBIDDEN, str(error), param="user")
    if isinstance(error, UnknownPatientError):
        return GatewayError(HTTPStatus.NOT_FOUND, str(error), param="user", code="patient_not_found")
    if isinstance(error, (ServingError, StoreDownError)):
        words = "the clinic's features cannot be read at the moment"
        return GatewayError(HTTPStatus.SERVICE_UNAVAILABLE, words, code="features_unavailable", retry_after=5)
    return error
