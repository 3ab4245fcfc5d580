"""One answer under way: request, prompt, and the answer so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bentos.llm.embedded_answer import encode_reply
from bentos.llm.upstream_client import RequestBody
from bentos.llm.upstreams import Upstream
from bentos.openai.chat.chat_request import ChatRequest, build_body, encode_anonymous
from bentos.openai.chat.completions import AnswerOutcome
from bentos.openai.streaming.answer_writer import AnswerWriter
from bentos.openai.surfaces import Surface
from bentos.personalizer import llm_answer
from pmlm.api_types import AnswerResponse, Language, LLMReport, PersonalizeResponse

if TYPE_CHECKING:
    from bentos.personalizer.personalizer import AnswerCheck
    from bentos.personalizer.prepared_prompt import PreparedPrompt


@dataclass(slots=True)
class ChatTurn:
    """A request with everything that answering it needs.

    ``response`` is what the endpoint reports of the prompt as it was sent. ``flagged``: the question or an earlier
    message has a red flag, so no sentence is shown before the whole answer is checked. ``until`` is on the event
    loop's clock, ``started`` on ``time.perf_counter()``'s. ``restated`` are the facts restated, where no
    model is asked.
    """

    surface: Surface
    chat: ChatRequest
    prepared: PreparedPrompt
    response: PersonalizeResponse
    prompt: str
    upstreams: tuple[Upstream, ...]
    check: AnswerCheck
    flagged: bool
    until: float
    started: float
    outcome: AnswerOutcome
    restated: tuple[str, ...] = ()

    @property
    def language(self) -> Language:
        return self.response.language

    @property
    def id(self) -> str:
        return f"{self.surface.prefix}{self.prepared.id}"

    @property
    def headers(self) -> dict[str, str]:
        """The response's own headers."""
        degraded = {"x-pmlm-degraded": self.response.degraded} if self.response.degraded else {}
        return {
            "x-pmlm-answer-id": self.prepared.id,
            "x-pmlm-personalization": self.response.personalization,
            **degraded,
        }

    @property
    def pmlm(self) -> dict[str, Any]:
        """The member ``pmlm`` of an answer; its disclaimer must be shown with the answer."""
        response = self.response
        return {
            "answer_id": self.prepared.id,
            "release": response.versions.release,
            "personalization": response.personalization,
            "degraded": response.degraded,
            "escalated": response.escalation is not None,
            "red_flags": [flag.sign for flag in response.red_flags],
            "findings": list(self.outcome.findings),
            "llm": self._report(0.0).model_dump(include={"model", "asked", "restated"}),
            "disclaimer": llm_answer.disclaimer(self._report(0.0), response.language),
        }

    def note_recorded(self, recorded: PersonalizeResponse) -> None:
        """Report whether the answer was recorded."""
        self.response = self.response.model_copy(update={"degraded": recorded.degraded})

    def body(self, *, stream: bool) -> RequestBody:
        """What each language model is sent; notes which one was asked last."""

        def encode(upstream: Upstream) -> bytes:
            self.outcome.note_upstream(upstream)
            if upstream.restates:
                return encode_reply(self.restated, self.chat.choices, stream=stream, usage=self.chat.wants_usage)
            body = build_body(self.chat, self.prompt, upstream.model, stream=stream, ask_usage=upstream.counts_streams)
            return encode_anonymous(upstream.adapt(body), self.chat.reference)

        return encode

    def writer(self, completion: dict[str, Any] | None = None) -> AnswerWriter:
        """The writer of a stream; ``completion`` says which model answered, where it has."""
        model = (completion or {}).get("model") or self.outcome.model
        return self.surface.open_writer(self.id, self.chat, str(model), lambda: self.pmlm)

    def build(self, completion: dict[str, Any]) -> dict[str, Any]:
        """The whole answer; ``completion`` is checked, and holds nothing that may not be shown."""
        return self.surface.build(self.id, self.chat, completion, self.pmlm)

    def answer(self, seconds: float) -> AnswerResponse:
        """The answer for the record."""
        report = self._report(seconds)
        return llm_answer.add_answer(self.response, self.outcome.text, report)

    def _report(self, seconds: float) -> LLMReport:
        outcome = self.outcome
        return LLMReport(
            model=outcome.model,
            embedded=outcome.embedded,
            seconds=seconds,
            asked=outcome.asked and not outcome.restated,
            restated=outcome.restated,
            error=outcome.error,
            findings=outcome.findings,
        )
