"""Escalate red flags before an answer, and check the answer after it.

    shown(y) = escalation(flags) + (y if check(y) = ∅ else nothing)

The paper has no safety layer; this one is ours. Red flags are found by rules (models/safety/triage). The escalation
text always comes first, whatever a policy or a language model writes. An answer is withheld if it names a drug that
the record lists as an allergy, reassures against an escalation, or contradicts the pinned facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from models.safety.contradictions import find_contradictions
from models.safety.drug_names import find_drug_words
from models.safety.triage.red_flag_table import Flag, compile_alternatives
from models.safety.triage.rules import TriageContext, find_gravest_label
from models.safety.triage.text_normalization import normalize_text, split_sentences

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
    "en": compile_alternatives(
        "not an emergency | no need to call | no need to go | no need to worry | not need to call | "
        "not need to go | "
        "not need to see | not need emergency | nothing to worry about | not worry | wait and see | "
        "wait until tomorrow | wait a few days | wait for your next appointment | perfectly normal | "
        "completely normal | is normal | no reason to call | no reason to go | no reason to worry | "
        "not need to worry | can wait | "
        "wait it out | wait until morning | wait until your | rest at home | stay home | not urgent | "
        "no urgency | probably nothing | harmless | "
        "not need medical | not need a doctor | not need an ambulance | no need for | see how you feel | "
        "monitor at home | see if it | "
        "not call | not go to | avoid the hospital | not a cause for concern | no cause for concern | "
        "not serious | not dangerous | ignore it | stay at home | "
        "will go away on its own | goes away on its own | will pass | is routine"
    ),
    "zh": compile_alternatives(
        "不是急症 | 不紧急 | 不急 | 不用着急 | 不用去 | 无需去 | 没必要去 | 没必要就医 | 在家休息 | 在家观察 | "
        "先观察 | 等到明天 | 明天再 | 下次产检再 | "
        "正常现象 | 没什么问题 | 没有问题 | 没什么大事 | 没事的 | 别担心 | 无需担心 | 不必就医 | 不需要就医 | "
        "不必去 | 会自己好 | 不用叫救护车 | 不用去医院 | 无需就医 | 不用担心 | 不必担心 | 不需要去 | "
        "等几天 | 再观察几天 | 很正常 | 没有大碍 | 不严重 | 不用打120"
    ),
}
_CAUTION = compile_alternatives(
    "allerg* | unlike | not suitable | can not take | can not have | not have | not recommended | "
    "not for you | avoid* | not take | not use | never take | must not | should not | instead of | "
    "rather than | "
    "stay away from | not safe | contraindicated | 过敏 | 避免 | 不要 | 不能 | 禁用 | 不宜"
)
#: What recommends a drug in a clause of its own: a caution elsewhere in the sentence does not take it back.
_RECOMMENDS = compile_alternatives(
    "take | taking | use | using | try | choose | recommend* | prescribe* | is safe | are safe | is fine | "
    "is ok | is okay | "
    "good choice | can have | have some | start | give | 服用 | 吃 | 用 | 试试 | 可以 | 建议 | 推荐 | 安全"
)
_CLAUSE = re.compile(r"[,，;；:：]|\b(?:but|so|then|however)\b|但是|但|所以|因此")


def build_escalation(flags: Iterable[Flag], language: str = "en") -> str | None:
    """The text that must open the answer to a flagged question, else None."""
    label = find_gravest_label(flags)
    return None if label == "routine" else ESCALATION.get(language, ESCALATION["en"])[label]


def check_answer(
    answer: str,
    allergies: Sequence[str],
    flags: Iterable[Flag] = (),
    language: str = "en",
    known: TriageContext | None = None,
) -> tuple[str, ...]:
    """Find what is wrong with an answer; empty if it may be shown.

    ``allergy`` (suggests a contraindicated drug), ``plays_down`` (talks down an escalation), ``pregnancy``,
    ``gestational_week`` and ``no_allergy`` (contradict the pinned facts, models/safety/contradictions.py).
    ``allergies`` are names as the record gives them (models.prompt.sentences.pinned.list_drug_allergies), ``flags`` the
    question's, ``known`` what the record says of pregnancy. An answer is read in both languages whatever
    ``language`` says.
    """
    text = normalize_text(answer)
    found = []
    if any(_suggests(text, name) for name in allergies):
        found.append("allergy")
    if find_gravest_label(flags) != "routine" and any(p.search(text) for p in _PLAYS_DOWN.values()):
        found.append("plays_down")
    facts = known or TriageContext()
    found += find_contradictions(text, allergies, facts.pregnant, facts.gestational_weeks)
    return tuple(found)


def _suggests(answer: str, allergy: str) -> bool:
    """Whether a sentence names the drug without forbidding it, or a clause recommends it."""
    words = find_drug_words(allergy)
    for sentence in split_sentences(answer):
        if not any(w in sentence for w in words):
            continue
        if not _CAUTION.search(sentence):
            return True
        clauses = [c for c in _CLAUSE.split(sentence) if any(w in c for w in words)]
        if any(_RECOMMENDS.search(c) and not _CAUTION.search(c) for c in clauses):
            return True
    return False
