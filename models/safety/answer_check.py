"""Check a language model's answer before it is shown.

    shown(y) = escalation(flags) + (y if check(y) = ∅ else nothing)

The paper has no safety layer; this one is ours. Red flags are found by rules (models/safety/triage), and their text
comes first (models/safety/escalation.py). An answer is withheld if it names a drug that the record lists as an
allergy, reassures against an escalation, or contradicts the pinned facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from models.safety.contradictions import find_contradictions
from models.safety.drug_names import compile_drug_names, find_cross_reacting_words
from models.safety.reassurance import reassures
from models.safety.triage.red_flag_table import Flag, compile_alternatives
from models.safety.triage.rules import TriageContext, find_gravest_label
from models.safety.triage.text_normalization import split_sentences
from models.safety.triage.text_readings import list_readings

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
    ``language`` says, as written and with its disguises undone (models/safety/triage/text_readings.py).
    """
    flagged, facts = find_gravest_label(flags) != "routine", known or TriageContext()
    findings = (_check_reading(text, allergies, flagged, facts) for text in list_readings(answer))
    return tuple(dict.fromkeys(finding for found in findings for finding in found))


def _check_reading(text: str, allergies: Sequence[str], flagged: bool, facts: TriageContext) -> Iterator[str]:
    if any(_suggests(text, name) for name in allergies):
        yield "allergy"
    if flagged and reassures(text):
        yield "plays_down"
    yield from find_contradictions(text, allergies, facts.pregnant, facts.gestational_weeks)


def _suggests(answer: str, allergy: str) -> bool:
    """Whether the answer recommends the drug, or names it without forbidding it."""
    pattern = compile_drug_names(find_cross_reacting_words(allergy))
    return any(recommends(sentence, pattern) for sentence in split_sentences(answer))


def recommends(sentence: str, drug: re.Pattern[str]) -> bool:
    """Whether a sentence names the drug without forbidding it, or a clause recommends it."""
    if not drug.search(sentence):
        return False
    if not _CAUTION.search(sentence):
        return True
    clauses = (c for c in _CLAUSE.split(sentence) if drug.search(c))
    return any(_RECOMMENDS.search(c) and not _CAUTION.search(c) for c in clauses)
