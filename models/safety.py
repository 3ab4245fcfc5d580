"""Safety outside everything that learns: escalation before the answer, checks after it.

    shown(y) = escalation(flags) + (y if check(y) = ∅ else nothing)

The paper leaves safety aside. Ours: red flags are found by rules (models/triage), the escalation text always stands
first whatever a policy or a language model says, and an answer that names a drug the record lists as an allergy, or
that talks down an escalation, is not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from models.triage.rules import Context, context_of, label_of, red_flags
from models.triage.table import Flag, Label, pattern
from models.triage.wording import normal, sentences
from models.vocabulary import DRUG_CLASSES

__all__ = [
    "ESCALATION",
    "Context",
    "Flag",
    "Label",
    "check_answer",
    "context_of",
    "escalation",
    "label_of",
    "red_flags",
]

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

#: Words that talk down an escalation. Only looked for in the answer to a flagged question.
_PLAYS_DOWN = {
    "en": pattern(
        "not an emergency | no need to call | no need to go | no need to worry | not need to call | not need to go | "
        "not need to see | not need emergency | nothing to worry about | not worry | wait and see | "
        "wait until tomorrow | wait a few days | wait for your next appointment | perfectly normal | "
        "completely normal | is normal | not serious | not dangerous | ignore it | stay at home | "
        "will go away on its own | not call"
    ),
    "zh": pattern(
        "不是急症 | 不用去医院 | 无需就医 | 不用担心 | 不必担心 | 不需要去 | "
        "等几天 | 再观察几天 | 很正常 | 没有大碍 | 不严重 | 不用打120"
    ),
}
_CAUTION = pattern(
    "allerg* | avoid* | not take | not use | never take | must not | should not | instead of | rather than | "
    "stay away from | not safe | contraindicated | 过敏 | 避免 | 不要 | 不能 | 禁用 | 不宜"
)
#: Words of a drug's display that name a form, not the drug.
_FORMS = frozenset(
    {"oral", "tablet", "tablets", "capsule", "capsules", "injection", "solution", "injectable", "extended", "release"}
    | {"delayed", "hour", "chewable", "topical", "cream", "prefilled", "syringe", "suspension", "sodium", "potassium"}
    | {"hydrochloride", "acid", "drug", "drugs", "medication", "medicine", "substance", "allergy", "allergic"}
    | {"product", "containing", "class"}
)


def escalation(flags: Iterable[Flag], language: str = "en") -> str | None:
    """The text that must stand first in the answer to a flagged question; None for a routine one."""
    label = label_of(flags)
    return None if label == "routine" else ESCALATION.get(language, ESCALATION["en"])[label]


def check_answer(
    answer: str, allergies: Sequence[str], flags: Iterable[Flag] = (), language: str = "en"
) -> tuple[str, ...]:
    """What is wrong with an answer: ``allergy`` and ``plays_down``; empty where it may be shown.

    ``allergies`` are names as the record gives them (models.segments.drug_allergies), ``flags`` the question's.
    """
    text = normal(answer)
    found = []
    if any(_suggests(text, name) for name in allergies):
        found.append("allergy")
    if label_of(flags) != "routine" and any(p.search(text) for p in _PLAYS_DOWN.values()):
        found.append("plays_down")
    return tuple(found)


def drug_words(name: str) -> frozenset[str]:
    """The words by which an answer could name this drug: its own, and those of the class that it names or is."""
    own = {w for w in re.findall(r"[a-z]{4,}", normal(name)) if w not in _FORMS}
    for label, (_, members) in DRUG_CLASSES.items():
        words = {m.strip() for m in members}
        # one substance under many names, or an allergy that names the class itself ("NSAID")
        if (label in ("paracetamol", "aspirin") and own & words) or label in normal(name).split():
            own |= words
    if "penicillin" in own:
        own |= {"amoxicillin", "ampicillin", "penicillin", "flucloxacillin"}
    return frozenset(own)


def _suggests(answer: str, allergy: str) -> bool:
    """Whether a sentence names the drug without saying that she must not have it."""
    words = drug_words(allergy)
    return any(any(w in s for w in words) and not _CAUTION.search(s) for s in sentences(answer))
