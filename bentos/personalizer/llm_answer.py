"""Turn a refined prompt into an answer that a patient may read.

The language model is asked under the request's deadline. Whatever it does (nothing, too late, rubbish, a drug that the
patient is allergic to), the escalation text comes first and the failure is stated in words. In an emergency it is not
asked: the escalation text is the answer. Where none is configured, the prompt's facts restated are the answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bentos.llm.embedded_answer import encode_reply
from bentos.llm.errors import UpstreamError
from bentos.llm.llm_client import LLMClient
from bentos.llm.upstreams import Upstream
from bentos.personalizer.candidate_cache import CandidateCache
from bentos.personalizer.prepared_prompt import PreparedPrompt
from models.llm import DISCLAIMER
from models.prompt.restatement import restate_facts, restate_nothing
from models.templates import speak_to_patient
from pmlm.api_types import AnswerResponse, Language, LLMReport, PersonalizeResponse

LONGEST_TEXT = 65536  # characters of one answer
FAILED: dict[Language, str] = {
    "en": "The language model gave no answer. Please ask your clinic.",
    "zh": "未能从语言模型获得回答，请咨询您的诊所。",
}
WITHHELD: dict[Language, str] = {
    "en": "The language model's answer is withheld: it did not pass the safety check. Please ask your clinic.",
    "zh": "语言模型的回答未通过安全检查，已被扣留，请咨询您的诊所。",
}
DISCLAIMERS: dict[Language, str] = {
    "en": "This answer was written by a language model, not by a clinician. Ask your clinic before you act on it.",
    "zh": "本回答由语言模型生成，并非医生所写。采取任何行动之前请咨询您的诊所。",
}
#: Shown with a fixed text that is the whole answer.
FIXED_TEXT: dict[Language, str] = {
    "en": "This is a fixed safety text, reviewed by people. No language model was asked.",
    "zh": "这是经人工审核的固定安全提示，未询问语言模型。",
}


#: Shown with facts restated.
RESTATED: dict[Language, str] = {
    "en": "These sentences restate your record. No language model wrote them, and they are no advice.",
    "zh": "以上句子复述您的病历，并非由语言模型撰写，也不是建议。",
}


@dataclass(frozen=True, slots=True)
class LLMAnswer:
    """A language model's words, empty where it failed, how the call went, and the tokens that its server counted."""

    text: str
    report: LLMReport
    usage: Any = None


def ask_llm(
    llm: LLMClient, prompt: str, question: str, until: float, restate: Callable[[], tuple[str, ...]]
) -> LLMAnswer:
    """Ask until ``until`` (``time.monotonic()``); every failure becomes ``report.error``: its name alone.

    ``restate`` gives the answer where no model is configured.
    """
    started = time.perf_counter()
    messages = [{"role": "system", "content": prompt}, {"role": "user", "content": question}]
    model, embedded, text, error, usage = llm.models[0], llm.embedded, "", None, None

    def body(upstream: Upstream) -> bytes:
        nonlocal model
        model = upstream.name
        if upstream.restates:
            return encode_reply(restate())
        return json.dumps(upstream.adapt({"model": upstream.model, "messages": messages, "temperature": 0})).encode()

    try:
        completion = llm.complete_blocking(body, until)
        usage = completion.get("usage")
        text = (completion["choices"][0]["message"].get("content") or "").strip()
        error = None if text else "empty"
        if len(text) > LONGEST_TEXT:  # nobody reads that, and half of it could say the opposite
            text, error = "", "truncated"
    except UpstreamError as failure:
        error = failure.reason
    except Exception as failure:  # whatever a server or a library can do, the escalation text must still be returned
        error = type(failure).__name__
    seconds = round(time.perf_counter() - started, 3)
    report = LLMReport(
        model=model, embedded=embedded, seconds=seconds, error=error, asked=not llm.restates, restated=llm.restates
    )
    return LLMAnswer(text, report, usage)


def restate_prompt(
    candidates: CandidateCache,
    prepared: PreparedPrompt,
    picks: Sequence[str] | None,
    check: Callable[[str], Sequence[str]],
) -> tuple[str, ...]:
    """The embedded answer in pieces: of these picks and the pinned facts; None: of a prompt without the record."""
    language = prepared.response.language
    if picks is None:
        return restate_nothing(language)
    # no token is counted: these sentences go into no prompt
    spoken = candidates.of(prepared.row, prepared.as_of, lambda _: 0, speak_to_patient(language))
    return restate_facts(spoken, picks, language, lambda sentence: not check(sentence))


def leave_unasked(llm: LLMClient) -> LLMAnswer:
    """The answer to an emergency: no words of a model, and a report that says that none was asked."""
    return LLMAnswer("", LLMReport(model=llm.models[0], embedded=llm.embedded, seconds=0.0, asked=False))


def build_response(personalized: PersonalizeResponse, answer: LLMAnswer) -> AnswerResponse:
    """The response to ``POST /answer``."""
    words = compose(answer, personalized.escalation, personalized.language)
    return add_answer(personalized, words, answer.report)


def add_answer(personalized: PersonalizeResponse, words: str, report: LLMReport) -> AnswerResponse:
    """``personalized`` with the words that were shown for an answer."""
    return AnswerResponse(
        **dict(personalized),
        answer=words,
        llm=report,
        disclaimer=disclaimer(report, personalized.language),
        escalated=personalized.escalation is not None,
    )


def compose(answer: LLMAnswer, escalation: str | None, language: Language) -> str:
    """The answer to show: escalation, then the checked text or words about its absence."""
    if escalation and not (answer.report.asked or answer.report.restated):
        return escalation
    if answer.report.error:
        body = FAILED[language]
    elif answer.report.findings:
        body = WITHHELD[language]
    else:
        body = answer.text
    return f"{escalation}\n\n{body}" if escalation else body


def disclaimer(report: LLMReport, language: Language) -> str:
    """The text to show with an answer: no language model is a clinician."""
    if report.restated:
        return RESTATED[language]
    if not report.asked:
        return FIXED_TEXT[language]
    return DISCLAIMER[language] if report.embedded else DISCLAIMERS[language]
