"""The story of one chat completion, top to bottom: admit, prepare, ask, check, show, record.

The service's middlewares come first (``bentos.service``): they turn a request away where the gateway is full, count it,
authenticate it and limit its body. Here ``respond`` admits and reads it, ``_prepare`` makes the prompt, ``_answer``
decides how to show what ``_complete`` and ``_stream_sentences`` ask and check, and ``_record`` ends each. After an
emergency no language model is asked: the escalation is the whole answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from bentos.auth.principal import Principal
from bentos.llm.embedded_answer import RestatedReply
from bentos.llm.errors import UpstreamError
from bentos.llm.upstream_client import UpstreamReply, deadline_at
from bentos.llm.upstreams import order_by_preference
from bentos.openai.admission import Admission
from bentos.openai.anonymous_body import anonymize
from bentos.openai.batcher import PromptBatcher
from bentos.openai.chat_request import PATIENT_HEADER, ChatRequest, read_chat_request
from bentos.openai.chat_turn import ChatTurn
from bentos.openai.chunk_stream import DONE, SentenceStream, encode_event, encode_json, stream_choices
from bentos.openai.completions import AnswerOutcome, add_escalation, build_completion, check_choices
from bentos.openai.connection import EventStream, unless_gone
from bentos.openai.context_budget import fit_prompt, mark_dropped
from bentos.openai.errors import GatewayError, explain, explain_failure, explain_unrecorded
from bentos.personalizer import current
from models.llm import load_tokenizer
from models.safety.escalation import is_emergency
from models.safety.triage.message_parts import list_readings
from models.safety.triage.red_flag_table import Flag
from models.safety.triage.rules import find_red_flags
from pmlm.api_types import MAX_QUESTION
from pmlm.errors import RecordUnavailableError

if TYPE_CHECKING:
    from bentos.personalizer.personalizer import Personalizer
    from bentos.personalizer.prepared_prompt import PreparedPrompt

#: A stream's client may read on for this long after the deadline; nothing new is produced then.
GRACE_S = 5.0
#: A machine too busy to prepare an answer by the deadline has this long more for one that begins with an escalation.
FLAGGED_S = 20.0
#: Why the embedded answer is no JSON.
NO_STRUCTURE = "must be text: no language model is configured that could write anything else (PMLM_LLM_BASE_URL)"
#: What an answer costs for which no language model wrote.
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


class ChatGateway:
    """Chat completions of one service on one event loop; prompts are of the release that a request is bound to."""

    def __init__(self, personalizer: Personalizer) -> None:
        settings = personalizer.settings
        self._personalizer = personalizer
        self._llm = personalizer.llm
        self._timeout_s = settings.llm_timeout_s
        self._merges = settings.llm_system_message == "merged"
        self._admission = Admission(settings.queue, self._llm.capacity)
        self._batcher = PromptBatcher(personalizer.encode_ahead, personalizer.forget_question)

    @property
    def models(self) -> list[str]:
        """What ``/v1/models`` lists: the language models that may answer, in failover order."""
        return self._llm.models

    def refusal(self) -> GatewayError | None:
        """Why a request would find no place now, None where it would."""
        return self._admission.refusal()

    def close(self) -> None:
        """End the threads that prepare prompts."""
        self._batcher.close()

    async def respond(self, request: Request) -> Response:
        """Answer ``POST /v1/chat/completions``; :class:`GatewayError` for what can be explained."""
        started, until = time.perf_counter(), asyncio.get_running_loop().time() + self._timeout_s
        async with AsyncExitStack() as resources:
            ticket = self._admission.enter()  # first: a request that finds no place must cost next to nothing
            resources.callback(ticket.leave)
            chat = read_chat_request(await request.body(), request.headers.get(PATIENT_HEADER), merge=self._merges)

            async def prepare_and_answer() -> Response:
                # the access middleware has set the principal
                preparing = self._prepare(request.state.principal, chat, started, until)
                turn = await finish_in_time(preparing, chat, until)
                ticket.leave_queue()
                # from here on only the language model is given up at the deadline: an escalation is shown all the same
                return await self._answer(turn, resources)

            try:
                response = await unless_gone(request.receive, prepare_and_answer())
            except Exception as error:
                raise explain(error) from None
        return response

    async def _prepare(self, principal: Principal, chat: ChatRequest, started: float, until: float) -> ChatTurn:
        """The prompt for the question, fitted into the language model's context."""
        served = current.of_request() or self._personalizer  # a switch of the release leaves this gateway in place

        def prepare() -> tuple[PreparedPrompt, tuple[Flag, ...]]:
            prepared = served.prepare(principal, chat.reference, chat.question)
            prepared = self._personalizer.flag_parts(prepared, chat.parts)
            earlier = [text[:MAX_QUESTION] for text in chat.earlier]
            return prepared, self._personalizer.find_earlier_flags(prepared, earlier)

        reading = self._personalizer.second_reader.start(anonymize(list(chat.parts), chat.reference))
        try:
            prepared, earlier_flags = await self._batcher.run(chat.question, prepare)
            if not is_emergency(prepared.personalized.flags):
                found = await asyncio.wrap_future(reading)
                prepared = self._personalizer.add_flags(prepared, found)
        finally:
            reading.cancel()
        personalized = prepared.personalized
        turn = ChatTurn(
            chat=chat,
            prepared=prepared,
            response=prepared.response,
            prompt=personalized.prompt,
            upstreams=(),
            check=self._personalizer.make_check(prepared, earlier_flags),
            flagged=bool(personalized.flags or earlier_flags),
            until=until,
            started=started,
            outcome=AnswerOutcome(self._llm.models[0], self._llm.embedded),
        )
        if is_emergency(personalized.flags) or (personalized.flags and chat.structured):
            # the escalation stands alone: after an emergency, and where JSON has no place for it
            turn.outcome.asked = False
            return turn
        turn.upstreams = order_by_preference(await self._llm.upstreams(), chat.body.get("model"))
        turn.outcome.note_upstream(turn.upstreams[0])
        if turn.upstreams[0].restates:
            if chat.structured:
                raise GatewayError.of_field("response_format", NO_STRUCTURE)
            turn.restated = await asyncio.to_thread(self._personalizer.restate, prepared, personalized.kept)
        prompt, picks = await asyncio.to_thread(
            fit_prompt, personalized, chat.own_messages, self._llm.context, chat.reserve, self._count_tokens
        )
        turn.prompt, turn.response = prompt, mark_dropped(prepared.response, prompt, picks)
        return turn

    async def _answer(self, turn: ChatTurn, resources: AsyncExitStack) -> Response:
        """The whole answer, or a stream of which it is known that it begins."""
        if not turn.chat.stream:
            body = encode_json(await self._complete(turn))
            return Response(body, media_type="application/json", headers=turn.headers)
        if turn.response.escalation:
            await self._prepare_record(turn)
            events = self._stream_escalation(turn, turn.response.escalation)
        elif turn.flagged:
            events = self._stream_completion(turn, await self._complete(turn))
        else:
            await self._prepare_record(turn)
            reply = await self._begin(turn)
            resources.callback(reply.close)
            events = self._stream_sentences(turn, reply)
        late = max(turn.until, asyncio.get_running_loop().time())  # a flagged question may be past its deadline here
        return EventStream(events, late + GRACE_S, turn.headers, resources.pop_all())

    async def _complete(self, turn: ChatTurn) -> dict[str, Any]:
        """Ask for a whole answer, check it, put the escalation before it, and record it.

        In an emergency nobody is asked: the escalation is the answer. :class:`UpstreamError` where there is neither an
        answer nor an escalation to show.
        """
        escalation, asked = turn.response.escalation, turn.outcome.asked
        completion: dict[str, Any] = {"model": turn.outcome.model, "created": int(time.time()), "usage": NO_USAGE}
        choices: list[dict[str, Any]] | None = None
        try:
            if asked:
                body = turn.body(stream=False)
                completion = await self._llm.complete(turn.upstreams, body, turn.until)
                async with deadline_at(turn.until):
                    choices = await asyncio.to_thread(
                        check_choices, completion, turn.check, turn.language, turn.outcome
                    )
        except UpstreamError as error:
            turn.outcome.error = error.reason
            if not escalation:
                raise
        except asyncio.CancelledError:
            turn.outcome.error = "cancelled"
            raise
        finally:
            await self._record(turn)
        if escalation:
            choices = add_escalation(choices, escalation, turn.language, asked=asked, count=turn.chat.choices)
        return build_completion(turn.id, completion, choices or [], turn.pmlm)

    async def _stream_completion(self, turn: ChatTurn, completion: dict[str, Any]) -> AsyncGenerator[bytes]:
        """A completion that was checked whole, as a stream."""
        for event in stream_choices(turn.chunks(completion), completion["choices"], turn.usage(completion)):
            yield event
        yield DONE

    async def _stream_escalation(self, turn: ChatTurn, escalation: str) -> AsyncGenerator[bytes]:
        """The escalation at once; then, unless it is an emergency, the language model's answer, checked whole."""
        chunks = turn.chunks()
        for index in range(turn.chat.choices):
            yield chunks.write(index, {"role": "assistant", "content": escalation})
        completion = await self._complete(turn)
        chunks.model = str(completion.get("model") or chunks.model)
        for event in stream_choices(chunks, completion["choices"], turn.usage(completion), sent=escalation):
            yield event
        yield DONE

    async def _begin(self, turn: ChatTurn) -> UpstreamReply | RestatedReply:
        """A stream that has begun: a failure before it is still an HTTP status."""
        try:
            return await self._llm.begin(turn.upstreams, turn.body(stream=True), turn.until)
        except UpstreamError as error:
            turn.outcome.error = error.reason
            await self._record(turn)
            raise

    async def _stream_sentences(self, turn: ChatTurn, reply: UpstreamReply | RestatedReply) -> AsyncGenerator[bytes]:
        """An answer sentence by sentence, each checked before it is shown."""
        stream = SentenceStream(turn.chunks(), turn.check, turn.language, turn.outcome, turn.chat.choices)
        turn.outcome.error = "cancelled"  # until it is known how it ended
        failure: GatewayError | None = None
        try:
            with reply.reading():
                async for event in stream.events(reply, turn.until):
                    yield event
            turn.outcome.error = None
        except UpstreamError as error:
            turn.outcome.error = error.reason
            failure = explain_failure(UpstreamError(error.reason))
        finally:
            try:
                await asyncio.shield(self._record(turn))
            except RecordUnavailableError as error:
                failure = explain_unrecorded(error)
        if failure is not None:
            yield encode_event(failure.body)
            return
        for event in stream.end():
            yield event
        yield DONE

    async def _prepare_record(self, turn: ChatTurn) -> None:
        """Record a stream before its first word, as far as it goes."""
        turn.outcome.error = "cancelled"  # until it is known how it ended
        unfinished = turn.answer(0.0)
        turn.note_recorded(await self._personalizer.recorder.prepare(turn.prepared.subject, "chat", unfinished))
        turn.outcome.error = None

    async def _record(self, turn: ChatTurn) -> None:
        """Record the answer; :class:`RecordUnavailableError` where that fails and it is no escalation."""
        seconds = round(time.perf_counter() - turn.started, 3)
        turn.prepared.seconds["chat"] = seconds
        turn.note_recorded(await self._personalizer.record_async(turn.prepared, "chat", turn.answer(seconds)))

    @cached_property
    def _count_tokens(self) -> Callable[[str], int]:
        """Tokens of a text; not cached, because an application's messages are not to be stored."""
        tokenizer = load_tokenizer(self._personalizer.settings.embedded_llm)
        return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


async def finish_in_time(preparing: Coroutine[Any, Any, ChatTurn], chat: ChatRequest, until: float) -> ChatTurn:
    """The prepared turn by the deadline, or later where a red flag needs an escalation.

    ``TimeoutError`` where it is not.
    """
    task = asyncio.ensure_future(preparing)
    try:
        left = until - asyncio.get_running_loop().time()
        await asyncio.wait({task}, timeout=max(0.0, left))
        if not task.done() and await asyncio.to_thread(_holds_red_flag, chat):
            await asyncio.wait({task}, timeout=FLAGGED_S)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()


def _holds_red_flag(chat: ChatRequest) -> bool:
    """Whether the rules alone find a red flag in the question or an earlier message."""
    texts = (*list_readings(chat.parts), *(text[:MAX_QUESTION] for text in chat.earlier))
    return any(find_red_flags(text) for text in texts)
