"""The fixed texts that open, or are, the answer to a flagged question.

emergency: the text alone, no language model is asked        urgent: the text, then an answer that passes the check
"""

from __future__ import annotations

from collections.abc import Collection

from models.safety.crisis_lines import name_crisis_line
from models.safety.triage.red_flag_table import Flag
from models.safety.triage.rules import find_gravest_label

#: The sign whose text names a crisis line.
SELF_HARM = "self_harm"
ESCALATION: dict[str, dict[str, str]] = {
    "en": {
        "emergency": (
            "What you describe can be an emergency. Call your local emergency number now, or go to the nearest "
            "emergency or maternity unit. Do not wait for an answer here."
        ),
        "urgent": (
            "What you describe needs a clinician today. Call your clinic or maternity unit now; if you cannot reach "
            "them, or it gets worse, go to the emergency department."
        ),
    },
    "zh": {
        "emergency": (
            "您描述的情况可能是急症。请立即拨打当地急救电话（中国大陆为120），"
            "或马上前往最近的急诊或产科。不要等待这里的回答。"
        ),
        "urgent": ("您描述的情况今天就需要医生评估。请现在联系您的诊所或产科；如联系不上或情况加重，请直接去急诊。"),
    },
}


def build_escalation(flags: Collection[Flag], language: str = "en", country: str | None = None) -> str | None:
    """The text for a flagged question, else None; ``country`` chooses the crisis line."""
    label = find_gravest_label(flags)
    if label == "routine":
        return None
    text = ESCALATION.get(language, ESCALATION["en"])[label]
    if any(flag.sign == SELF_HARM for flag in flags):
        return f"{text} {name_crisis_line(language, country)}"
    return text


def is_emergency(flags: Collection[Flag]) -> bool:
    """Whether the fixed text is the whole answer, so that no language model may be asked."""
    return find_gravest_label(flags) == "emergency"
