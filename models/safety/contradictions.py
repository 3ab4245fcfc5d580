"""Find where an answer contradicts the pinned facts: pregnancy, gestational week, allergies.

    contradictions(y, facts) ⊆ {"pregnancy", "gestational_week", "no_allergy"}

Only statements about the reader count ("you are 12 weeks pregnant"), never a condition ("if you are pregnant") or a
general statement ("at 12 weeks many women …"). The paper leaves answers unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from models.safety.drug_names import find_drug_words, mentions_drug
from models.safety.text.number_words import convert_number_words
from models.safety.triage.red_flag_table import compile_alternatives
from models.safety.triage.text_normalization import split_sentences

#: Weeks that an answer may be off: a week may have begun since the record was read.
SLACK_WEEKS = 1
#: Whole weeks of a trimester's ends, rounded outwards.
_TRIMESTERS = {"first": (0, 13), "second": (12, 28), "third": (26, 45), "早": (0, 14), "中": (12, 28), "晚": (26, 45)}

_CONDITION = re.compile(
    r"\b(?:if|whether|unless|when|in case|should you|were you|until|once|before|suppose)\b|如果|若|是否|一旦|要是|假如"
)
_PREGNANT = compile_alternatives(
    "you are pregnant | you are currently pregnant | you are still pregnant | you being pregnant | "
    "since you are pregnant | "
    "your current pregnancy | your ongoing pregnancy | during your pregnancy | as a pregnant woman you | "
    "您怀孕了 | 您现在怀孕 | 您正在怀孕 | 您目前怀孕 | 您怀着 | 由于您怀孕 | 因为您怀孕 | 作为孕妇 | 您是孕妇"
)
_NOT_PREGNANT = compile_alternatives(
    "you are not pregnant | you are not currently pregnant | you are no longer pregnant | you are not expecting | "
    "you have already given birth | you have given birth | you have had your baby | now that you have delivered | "
    "您没有怀孕 | 您没怀孕 | 您并未怀孕 | 您未怀孕 | 您不是孕妇 | 您已经分娩 | 您已经生完 | 您已生产 | 您不再怀孕"
)
_WEEK = re.compile(
    r"\byou (?:are|have reached|must be)(?: \w+){0,3} (\d{1,2}) weeks?\b"
    r"(?! (?:postpartum|after|since|post|from|away|from|before|to|until|of|ago|old|late|early))"
    r"|\byour (\d{1,2}) weeks? (?:pregnancy|baby)"
    r"|\byour pregnancy is(?: \w+){0,3} (\d{1,2}) weeks?\b"
    r"|\byou are(?: \w+){0,2} in (?:your |the )?(?:week (\d{1,2})|(\d{1,2})(?:st|nd|rd|th) week)"
    r"|(?:您|你)(?:现在|目前|已经|已)?(?:是)?(?:怀孕|孕)(?:已经|已|了)?(\d{1,2})周"
)
_TRIMESTER = re.compile(
    r"\byou are(?: \w+){0,2} in (?:your |the )?(first|second|third) trimester"
    r"|(?:您|你)(?:现在|目前)?(?:处于|处在|是在|在)(?:怀)?孕(早|中|晚)期"
)
_NO_ALLERGY = compile_alternatives(
    "you have no known allerg* | you have no allerg* | you have no drug allerg* | you do not have any allerg* | "
    "you do not have allerg* | you have no recorded allerg* | no known drug allerg* | no known allerg* | "
    "you are not allergic to any* | "
    "no allergies on record | no allergies on file | no allergies in your record | 您没有过敏 | "
    "您没有药物过敏 | 您无过敏 | 您无药物过敏 | "
    "没有已知的过敏 | 没有任何过敏 | 无过敏史 | 没有过敏史 | 无药物过敏"
)
_NOT_ALLERGIC = compile_alternatives(
    "not allergic | no allergy to | no known allergy to | do not have an allergy | 不过敏 | 没有过敏 | 并不过敏"
)


def find_contradictions(
    text: str, allergies: Sequence[str], pregnant: bool | None, weeks: int | None
) -> tuple[str, ...]:
    """Find the pinned facts that a normalised answer contradicts; unknown ``weeks`` is None."""
    found: set[str] = set()
    for sentence in split_sentences(convert_number_words(text)):
        if allergies and _denies_allergy(sentence, allergies):
            found.add("no_allergy")
        if _CONDITION.search(sentence):
            continue
        if (pregnant is False and _PREGNANT.search(sentence)) or (pregnant and _NOT_PREGNANT.search(sentence)):
            found.add("pregnancy")
        if pregnant and weeks is not None and _other_week(sentence, weeks):
            found.add("gestational_week")
        if pregnant is False and _WEEK.search(sentence):
            found.add("pregnancy")
    return tuple(sorted(found))


def _other_week(sentence: str, weeks: int) -> bool:
    stated = [int(next(filter(None, m.groups()))) for m in _WEEK.finditer(sentence)]
    spans = [_TRIMESTERS[next(filter(None, m.groups()))] for m in _TRIMESTER.finditer(sentence)]
    return any(abs(week - weeks) > SLACK_WEEKS for week in stated) or any(not a <= weeks <= b for a, b in spans)


def _denies_allergy(sentence: str, allergies: Sequence[str]) -> bool:
    if _NO_ALLERGY.search(sentence):
        return True
    if not _NOT_ALLERGIC.search(sentence):  # rare, and the names are many
        return False
    return any(mentions_drug(sentence, find_drug_words(name)) for name in allergies)
