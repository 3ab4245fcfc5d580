"""From a prepared question to what is shown: ask a language model, check, stream or not, record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import aiohttp

from bentos.openai import chat, completions, streaming, upstream_client
from bentos.openai.chat import Chat
from bentos.openai.completions import Shown
from bentos.openai.errors import GatewayError, UpstreamError
from bentos.openai.sse import DONE, event
from bentos.openai.upstreams import Upstream
from bentos.personalizer import llm_answer
from pmlm.api_types import AnswerResponse, Language, LLMReport, PersonalizeResponse

if TYPE_CHECKING:
    from bentos.personalizer.personalizer import Personalizer, Prepared


@dataclass(slots=True)
class Asking:
    """One request with everything that answering it needs; ``until`` is on the event loop's clock."""

    chat: Chat
    prepared: Prepared
    response: PersonalizeResponse
    prompt: str
    order: tuple[Upstream, ...]
    check: Callable[[str], tuple[str, ...]]
    held: bool
    until: float
    started: float
    shown: Shown

    @property
    def language(self) -> Language:
        return self.response.language

    @property
    def id(self) -> str:
        return f"chatcmpl-{self.prepared.id}"


class Answers:
    """Makes the answers of one personalizer, over one pool of connections."""

    def __init__(self, personalizer: Personalizer, http: aiohttp.ClientSession) -> None:
        self._personalizer = personalizer
        self._http = http

    async def _ask(self, asking: Asking, *, stream: bool) -> upstream_client.Answering:
        """A language model that has begun to answer; a failure is noted for the record."""

        def body(upstream: Upstream) -> bytes:
            asking.shown.model, asking.shown.embedded = upstream.model, upstream.embedded
            plain = chat.forwarded(asking.chat, asking.prompt, upstream.model, stream=stream)
            return chat.encoded(upstream.adapted(plain), asking.chat.reference)

        try:
            async with asyncio.timeout_at(asking.until):
                return await upstream_client.begun(self._http, asking.order, body, asking.until, asking.prompt)
        except (UpstreamError, TimeoutError, GatewayError) as error:
            asking.shown.error = _reason(error)
            raise

    async def _completion(self, asking: Asking) -> dict[str, Any]:
        """A whole answer of the language model; raises :class:`UpstreamError`, ``TimeoutError`` or, while all models
        rest, :class:`GatewayError`, and notes it.
        """
        begun = await self._ask(asking, stream=False)
        try:
            async with asyncio.timeout_at(asking.until):
                value = completions.understood(await begun.whole())
            begun.close(whole=True)
        except (UpstreamError, TimeoutError) as error:
            begun.close(whole=False)
            asking.shown.error = _reason(error)
            raise
        finally:
            begun.close()
        return value

    async def _choices(self, asking: Asking) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The model's completion and the choices to show. With an escalation this does not raise."""
        escalation, alone = asking.response.escalation, asking.chat.structured
        value: dict[str, Any] = {"model": asking.shown.model, "created": int(time.time())}
        if escalation is None:
            value = await self._completion(asking)
            return value, completions.checked(value, asking.check, asking.language, asking.shown)
        choices = None
        if not alone:  # where the escalation stands alone no other words are shown, so none are asked for
            try:
                value = await self._completion(asking)
                choices = completions.checked(value, asking.check, asking.language, asking.shown)
            except (UpstreamError, TimeoutError, GatewayError):
                choices = None
        return value, completions.escalated(choices, escalation, asking.language, alone=alone, many=asking.chat.choices)

    async def whole(self, asking: Asking) -> dict[str, Any]:
        """The answer as one JSON object; raises as :meth:`_completion` does, unless there is an escalation to tell."""
        try:
            value, choices = await self._choices(asking)
        except asyncio.CancelledError:
            asking.shown.error = "cancelled"
            raise
        finally:
            await self._record(asking)
        return completions.completion(asking.id, value, choices, _ours(asking))

    async def held(self, asking: Asking) -> AsyncGenerator[bytes]:
        """The events of an answer that was checked whole before any of it is shown."""
        value = await self.whole(asking)
        chunks = streaming.Chunks(asking.id, str(value.get("model") or asking.shown.model), value["pmlm"])
        return _sent([*streaming.told(chunks, value["choices"], _usage(asking, value)), DONE])

    async def escalating(self, asking: Asking) -> AsyncGenerator[bytes]:
        """The escalation at once; then, held whole, what the language model says and the check lets through."""
        escalation = cast(str, asking.response.escalation)
        chunks = streaming.Chunks(asking.id, asking.shown.model, _ours(asking))
        for index in range(asking.chat.choices):
            yield chunks.of(index, {"role": "assistant", "content": escalation})
        value = await self.whole(asking)
        chunks.model = str(value.get("model") or chunks.model)
        for ours in streaming.told(chunks, value["choices"], _usage(asking, value), said=escalation):
            yield ours
        yield DONE

    async def speaking(self, asking: Asking, stack: AsyncExitStack) -> AsyncGenerator[bytes]:
        """The events of an answer whose sentences are released one by one; the model has begun when this returns."""
        try:
            begun = await self._ask(asking, stream=True)
        except (UpstreamError, TimeoutError, GatewayError):
            await self._record(asking)
            raise
        stack.callback(begun.close)
        return self._spoken(asking, begun)

    async def _spoken(self, asking: Asking, begun: upstream_client.Answering) -> AsyncGenerator[bytes]:
        chunks = streaming.Chunks(asking.id, asking.shown.model, _ours(asking))
        spoken = streaming.Spoken(chunks, asking.check, asking.language, asking.shown)
        asking.shown.error = "cancelled"  # until it is known how it ended
        try:
            async for ours in spoken.events(begun, asking.until):
                yield ours
            begun.close(whole=True)
            asking.shown.error = None
        except (UpstreamError, TimeoutError) as error:
            begun.close(whole=False)
            asking.shown.error = _reason(error)
        finally:
            begun.close()
            await asyncio.shield(self._record(asking))
        if asking.shown.error is None:
            for ours in spoken.end():
                yield ours
            yield DONE
        else:
            yield event(UpstreamError(asking.shown.error).told().body)

    async def _record(self, asking: Asking) -> None:
        report = LLMReport(
            model=asking.shown.model,
            embedded=asking.shown.embedded,
            seconds=round(time.perf_counter() - asking.started, 3),
            error=asking.shown.error,
            findings=asking.shown.findings,
        )
        asking.prepared.seconds["chat"] = report.seconds
        answer = AnswerResponse(
            **dict(asking.response),
            answer=asking.shown.text,
            llm=report,
            disclaimer=llm_answer.disclaimer(report, asking.language),
            escalated=asking.response.escalation is not None,
        )
        await asyncio.to_thread(self._personalizer.record, asking.prepared, "chat", answer)


async def _sent(events: list[bytes]) -> AsyncGenerator[bytes]:
    for ours in events:
        yield ours


def _usage(asking: Asking, value: dict[str, Any]) -> dict[str, Any] | None:
    """The usage chunk, where the application asks for one."""
    options = asking.chat.body.get("stream_options")
    wanted = isinstance(options, dict) and options.get("include_usage")
    return value.get("usage") if wanted else None


def _ours(asking: Asking) -> dict[str, Any]:
    """What PMLM says of the answer beside it; the disclaimer must be shown with it."""
    response = asking.response
    report = LLMReport(model=asking.shown.model, embedded=asking.shown.embedded, seconds=0.0)
    return {
        "answer_id": asking.prepared.id,
        "release": response.versions.release,
        "personalization": response.personalization,
        "degraded": response.degraded,
        "escalated": response.escalation is not None,
        "red_flags": [flag.sign for flag in response.red_flags],
        "disclaimer": llm_answer.disclaimer(report, response.language),
    }


def _reason(error: Exception) -> str:
    if isinstance(error, UpstreamError):
        return error.reason
    return "timeout" if isinstance(error, TimeoutError) else "resting"
