"""From a refined prompt to an answer a patient may read: escalation first, then what passed the check, said plainly.

The language model is asked under our own deadline. Whatever it does (nothing, too late, rubbish, a drug she is
allergic to), the escalation text stands first in the answer and its failure is said in words.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from feature_repo.store.deadline import BusyError, Deadline
from models.llm import DISCLAIMER, LLM, EmbeddedLLM, LLMError
from pmlm.api_types import Language, LLMReport

FAILED: dict[Language, str] = {
    "en": "No answer could be got from the language model. Please ask your clinic.",
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What a language model said to a prompt, and how that went; ``text`` is empty where it failed."""

    text: str
    report: LLMReport


def ask(llm: LLM, deadline: Deadline, prompt: str, question: str) -> Asked:
    """Ask under the deadline; every failure becomes ``report.error``: its name, never what was said."""
    started = time.perf_counter()
    text, error = "", None
    try:
        text = deadline.run(lambda: llm.complete(prompt, question)).strip()
        error = None if text else "empty"
    except TimeoutError:
        error = "timeout"
    except BusyError:
        error = "busy"
    except LLMError as failure:
        error = str(failure)
    except Exception as failure:  # whatever a server or a library can do, the escalation text must still be returned
        error = type(failure).__name__
    seconds = round(time.perf_counter() - started, 3)
    report = LLMReport(model=llm.id, embedded=isinstance(llm, EmbeddedLLM), seconds=seconds, error=error)
    return Asked(text, report)


def compose(asked: Asked, escalation: str | None, language: Language) -> str:
    """The answer to show: escalation, a blank line, then the checked text or plain words about its absence."""
    if asked.report.error:
        body = FAILED[language]
    elif asked.report.findings:
        body = WITHHELD[language]
    else:
        body = asked.text
    return f"{escalation}\n\n{body}" if escalation else body


def disclaimer(report: LLMReport, language: Language) -> str:
    """What must be shown with the answer: the embedded model is no medical answerer, and no model is a clinician."""
    return DISCLAIMER[language] if report.embedded else DISCLAIMERS[language]
