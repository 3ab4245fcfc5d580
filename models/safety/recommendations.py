"""Decide whether a sentence recommends a drug, or names it only to warn of it.

"Do not take ibuprofen" warns. "Avoid aspirin, but take ibuprofen" recommends: a caution in one clause takes nothing
back in another. The paper has no counterpart.
"""

from __future__ import annotations

import re

from models.safety.triage.red_flag_table import compile_alternatives

_CAUTION = compile_alternatives(
    "allerg* | unlike | not suitable | can not take | can not have | not have | not recommended | not be used | "
    "not for you | avoid* | not take | not use | not start | never take | never use | must not | should not | "
    "instead of | rather than | stay away from | not safe | unsafe | contraindicated | harmful | dangerous | harms | "
    "can harm | may harm | birth defect* | miscarriage | stop taking | stop using | switched from | not give | "
    "not given | steer clear | no longer take | is it safe | "
    "过敏 | 避免 | 不要 | 不能 | 禁用 | 不宜 | 不可 | 不建议 | 不推荐 | 慎用 | 勿 | 不应 | "
    "停用 | 停药 | 禁止 | 致畸 | 有害 | 不安全 | 而不是"
)
#: Takes a caution back: "there is no need to avoid".
_RELEASES = compile_alternatives(
    "no need to avoid | not need to avoid | not have to avoid | no reason to avoid | no reason not to | not harmful | "
    "not dangerous | not contraindicated | not unsafe | not allergic | "
    "不必避免 | 无需避免 | 不用避免 | 并不有害 | 没有害"
)
#: What recommends a drug in a clause of its own: a caution elsewhere in the sentence does not take it back.
_RECOMMENDS = compile_alternatives(
    "take | taking | use | using | try | choose | recommend* | prescribe* | is safe | are safe | is fine | "
    "is ok | is okay | "
    "good choice | can have | have some | start | give | 服用 | 吃 | 用 | 试试 | 可以 | 建议 | 推荐 | 安全"
)
_CLAUSE = re.compile(
    r"[,，;；:：]|\b(?:but|so|then|however)\b|\band (?=(?:then )?(?:take|use|try|start|choose|have|give)\b)"
    r"|(?= (?:instead of|rather than)\b)|(?<=instead of )\w+ (?=(?:take|use|try|choose|have)\b)|但是|但|所以|因此|而是"
)


def recommends(sentence: str, drug: re.Pattern[str]) -> bool:
    """Whether a normalised sentence names the drug without forbidding it, or a clause recommends it."""
    if not drug.search(sentence):
        return False
    if not _CAUTION.search(sentence) or _RELEASES.search(sentence):
        return True
    clauses = (c for c in _CLAUSE.split(sentence) if drug.search(c))
    return any(_RECOMMENDS.search(c) and not _CAUTION.search(c) for c in clauses)


def is_cautioned(sentence: str) -> bool:
    """Whether a normalised sentence forbids something and takes nothing back."""
    return bool(_CAUTION.search(sentence)) and not _RELEASES.search(sentence)
