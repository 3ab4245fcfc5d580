"""The story of one answer, top to bottom: admit, prepare, ask, check, show, record.

The service's middlewares come first (``bentos.service``): they turn a request away where the gateway is full, count it,
authenticate it and limit its body. Here ``respond`` admits and reads it, ``_prepare`` makes the prompt, ``_answer``
decides how to show what ``_complete`` and ``_stream_sentences`` ask and check, and ``_record`` ends each. After an
emergency no language model is asked: the escalation is the whole answer. Which of OpenAI's APIs the answer is for
(``surfaces``) matters where the request is read and the answer written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from bentos.auth.principal import Principal
from bentos.llm.embedded_answer import RestatedReply
from bentos.llm.errors import UpstreamError
from bentos.llm.upstream_client import UpstreamReply, deadline_at
from bentos.llm.upstreams import order_by_preference
from bentos.openai.admission import Admission
from bentos.openai.answer_fields.shown_fields import select_members, select_usage
from bentos.openai.batcher import PromptBatcher
from bentos.openai.chat.anonymous_body import anonymize
from bentos.openai.chat.chat_request import PATIENT_HEADER, ChatRequest
from bentos.openai.chat.completions import AnswerOutcome, add_escalation, check_choices
from bentos.openai.chat.errors import GatewayError, explain, explain_failure, explain_unrecorded
from bentos.openai.chat_turn import ChatTurn
from bentos.openai.context_budget import fit_prompt, mark_dropped
from bentos.openai.deadline import finish_in_time
from bentos.openai.streaming.answer_writer import encode_json, write_choices
from bentos.openai.streaming.event_stream import EventStream, unless_gone
from bentos.openai.streaming.sentence_stream import SentenceStream
from bentos.openai.surfaces import Surface
from bentos.personalizer import current
from bentos.telemetry.token_counts import count_usage
from models.llm import load_tokenizer
from models.safety.escalation import is_emergency
from models.safety.triage.red_flag_table import Flag
from pmlm.api_types import MAX_QUESTION
from pmlm.errors import RecordUnavailableError

if TYPE_CHECKING:
    from bentos.personalizer.personalizer import Personalizer
    from bentos.personalizer.prepared_prompt import PreparedPrompt

#: A stream's client may read on for this long after the deadline; nothing new is produced then.
GRACE_S = 5.0
#: Why the embedded answer is no JSON.
NO_STRUCTURE = "must be text: no language model is configured that could write anything else (PMLM_LLM_BASE_URL)"
#: What an answer costs for which no language model wrote.
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


class ChatGateway:
    """Answers of one service on one event loop; prompts are of the release that a request is bound to."""

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

    async def respond(self, request: Request, surface: Surface) -> Response:
        """Answer a request of one of OpenAI's APIs; :class:`GatewayError` for what can be explained."""
        started, until = time.perf_counter(), asyncio.get_running_loop().time() + self._timeout_s
        async with AsyncExitStack() as resources:
            ticket = self._admission.enter()  # first: a request that finds no place must cost next to nothing
            resources.callback(ticket.leave)
            chat = surface.read(await request.body(), request.headers.get(PATIENT_HEADER), self._merges)

            async def prepare_and_answer() -> Response:
                # the access middleware has set the principal
                preparing = self._prepare(request.state.principal, surface, chat, started, until)
                turn = await finish_in_time(preparing, chat, until)
                ticket.leave_queue()
                # from here on only the language model is given up at the deadline: an escalation is shown all the same
                return await self._answer(turn, resources)

            try:
                response = await unless_gone(request.receive, prepare_and_answer())
            except Exception as error:
                raise explain(error) from None
        return response

    async def _prepare(
        self, principal: Principal, surface: Surface, chat: ChatRequest, started: float, until: float
    ) -> ChatTurn:
        """The prompt for the question, fitted into the language model's context."""
        served = current.of_request() or self._personalizer  # a switch of the release leaves this gateway in place

        def prepare() -> tuple[PreparedPrompt, tuple[Flag, ...]]:
            prepared = served.prepare(principal, chat.reference, chat.question)
            prepared = self._personalizer.flag_parts(prepared, chat.parts)
            earlier = [text[:MAX_QUESTION] for text in chat.earlier]
            return prepared, self._personalizer.find_earlier_flags(prepared, earlier)

        messages = anonymize(list(chat.parts), chat.reference)
        reading = self._personalizer.second_reader.start(messages, served.release.id)
        try:
            prepared, earlier_flags = await self._batcher.run(chat.question, prepare)
            if not is_emergency(prepared.personalized.flags):
                found = await asyncio.wrap_future(reading)
                prepared = self._personalizer.add_flags(prepared, found)
        finally:
            reading.cancel()
        personalized = prepared.personalized
        turn = ChatTurn(
            surface=surface,
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
                raise GatewayError.of_field(chat.field_name("response_format"), NO_STRUCTURE)
            turn.restated = await asyncio.to_thread(self._personalizer.restate, prepared, personalized.kept)
        field, context, reserve = chat.field_name("messages"), self._llm.context, chat.reserve
        fit = partial(fit_prompt, personalized, chat.own_messages, context, reserve, self._count_tokens, field)
        # without a limit nothing is counted, and the way to a thread and back costs more than the rest of it
        prompt, picks = fit() if context is None else await asyncio.to_thread(fit)
        turn.prompt, turn.response = prompt, mark_dropped(prepared.response, prompt, picks)
        return turn

    async def _answer(self, turn: ChatTurn, resources: AsyncExitStack) -> Response:
        """The whole answer, or a stream of which it is known that it begins."""
        if not turn.chat.stream:
            body = encode_json(turn.build(await self._complete(turn)))
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
        """Ask for a whole answer, check it, put the escalation before it, record it; what of it may be shown.

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
                turn.outcome.usage = select_usage(completion.get("usage"))
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
        return select_members(completion) | {"choices": choices or []}

    async def _stream_completion(self, turn: ChatTurn, completion: dict[str, Any]) -> AsyncGenerator[bytes]:
        """A completion that was checked whole, as a stream."""
        for event in write_choices(turn.writer(completion), completion["choices"], completion.get("usage")):
            yield event

    async def _stream_escalation(self, turn: ChatTurn, escalation: str) -> AsyncGenerator[bytes]:
        """The escalation at once; then, unless it is an emergency, the language model's answer, checked whole."""
        writer = turn.writer()
        for index in range(turn.chat.choices):
            yield writer.write(index, {"role": "assistant", "content": escalation})
        completion = await self._complete(turn)
        writer.model = str(completion.get("model") or writer.model)
        for event in write_choices(writer, completion["choices"], completion.get("usage"), sent=escalation):
            yield event

    async def _begin(self, turn: ChatTurn) -> UpstreamReply | RestatedReply:
        """A stream that has begun: a failure before it is still an HTTP status."""
        try:
            return await self._llm.begin_stream(turn.upstreams, turn.body(stream=True), turn.until)
        except UpstreamError as error:
            turn.outcome.error = error.reason
            await self._record(turn)
            raise

    async def _stream_sentences(self, turn: ChatTurn, reply: UpstreamReply | RestatedReply) -> AsyncGenerator[bytes]:
        """An answer sentence by sentence, each checked before it is shown."""
        writer = turn.writer()
        stream = SentenceStream(writer, turn.check, turn.language, turn.outcome, turn.chat.choices)
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
            yield writer.fail(failure)
            return
        for event in stream.end():
            yield event

    async def _prepare_record(self, turn: ChatTurn) -> None:
        """Record a stream before its first word, as far as it goes."""
        turn.outcome.error = "cancelled"  # until it is known how it ended
        unfinished = turn.answer(0.0)
        turn.note_recorded(
            await self._personalizer.recorder.prepare(turn.prepared.subject, turn.surface.name, unfinished)
        )
        turn.outcome.error = None

    async def _record(self, turn: ChatTurn) -> None:
        """Count and record the answer; :class:`RecordUnavailableError` where that fails and it is no escalation."""
        outcome = turn.outcome
        if outcome.asked and not outcome.restated and (outcome.usage or outcome.error in (None, "cancelled")):
            count_usage(self._personalizer.settings, turn.response.versions.release, outcome.model, outcome.usage)
        seconds = round(time.perf_counter() - turn.started, 3)
        turn.prepared.seconds["chat"] = seconds
        turn.note_recorded(
            await self._personalizer.record_async(turn.prepared, turn.surface.name, turn.answer(seconds))
        )

    @cached_property
    def _count_tokens(self) -> Callable[[str], int]:
        """Tokens of a text; not cached, because an application's messages are not to be stored."""
        tokenizer = load_tokenizer(self._personalizer.settings.embedded_llm)
        return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
