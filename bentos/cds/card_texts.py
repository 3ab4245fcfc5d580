"""The texts of the cards, English and Chinese, and record text as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bentos.cds.cds_types import LONGEST_SUMMARY, Coding, Source
from bentos.cds.draft_orders import MOST, DraftOrders
from pmlm.api_types import Language

REASONS_SYSTEM = "https://pmlm.dev/fhir/CodeSystem/card-override"
#: Code → points of the reward log, and the words in each language. Without a reason: ``OVERRIDDEN``.
REASONS: dict[str, tuple[float, dict[Language, str]]] = {
    "acted-on": (4.0, {"en": "Already acted on", "zh": "已处理"}),
    "known": (3.0, {"en": "Already known", "zh": "已知晓"}),
    "benefit": (3.0, {"en": "Benefit outweighs the risk", "zh": "获益大于风险"}),
    "not-relevant": (2.0, {"en": "Not relevant now", "zh": "目前不相关"}),
    "wrong": (1.0, {"en": "The record is wrong", "zh": "记录有误"}),
}
ACCEPTED, OVERRIDDEN = 5.0, 2.0

QUESTION: dict[Language, str] = {
    "en": "How is she doing, and what has changed in her blood pressure, blood count, weight, mood or medicines?",
    "zh": "她目前情况如何，血压、血红蛋白、体重、情绪或用药有什么变化？",
}
ORDER_QUESTION: dict[Language, str] = {
    "en": "What in her record bears on ordering {drugs}?",
    "zh": "她的记录中有哪些内容与开具{drugs}有关？",
}
SOURCE: dict[Language, str] = {"en": "PMLM, from this clinic's records", "zh": "PMLM，依据本诊所记录"}

TEXTS: dict[str, dict[Language, str]] = {
    "question": {"en": "Question", "zh": "问题"},
    "chosen": {"en": "From her record, what always counts first", "zh": "来自她的记录，固定事实在前"},
    "recorded": {"en": "Recorded", "zh": "记录值"},
    "left_out": {
        "en": "{dropped} of {all} further statements of her record were left out.",
        "zh": "她的记录中另有{dropped}条（共{all}条）陈述未列出。",
    },
    "made_by": {
        "en": "Answer `{id}`, release `{release}`. No language model wrote this card.",
        "zh": "回答`{id}`，版本`{release}`。本卡片并非由语言模型撰写。",
    },
    "draft": {"en": "Draft of a reply, in this clinic's own sentences", "zh": "回复草稿，使用本诊所自己的句子"},
    "draft_donors": {"en": "received by {n} patients.", "zh": "已有{n}位患者收到。"},
    "stale": {"en": "Not measured again since.", "zh": "此后未再测量。"},
    "remove": {"en": "Remove the order of {drug}", "zh": "删除{drug}的医嘱"},
    "allergy": {"en": "{drug}: the record lists an allergy to {allergy}", "zh": "{drug}：记录显示对{allergy}过敏"},
    "related": {
        "en": "{drug}: of the same class as {allergy}, to which the record lists an allergy",
        "zh": "{drug}：与记录中过敏的{allergy}同类",
    },
    "unchecked.record": {
        "en": "Her record has not been processed yet: no order was checked against it",
        "zh": "她的记录尚未处理：所有医嘱均未与其核对",
    },
    "unchecked.beyond": {
        "en": "Not checked against her record: {count} medicine orders beyond the {most} that were read",
        "zh": "未与她的记录核对：超出已读取的{most}项之外的{count}项用药医嘱",
    },
    "unchecked.unnamed": {
        "en": "Not checked against her record: {count} medicine order(s) that name no medicine in words",
        "zh": "未与她的记录核对：{count}项医嘱未写明药名",
    },
    "unchecked.unreadable": {
        "en": "Not checked against her record: {count} entries of the draft orders that cannot be read",
        "zh": "未与她的记录核对：草拟医嘱中有{count}个条目无法读取",
    },
    "unchecked.missing": {
        "en": "Not checked against her record: {count} selected order(s) that are not among the draft orders",
        "zh": "未与她的记录核对：所选医嘱中有{count}项不在草拟医嘱内",
    },
    "unchecked.alerts": {
        "en": "{count} further alerts about these orders are not shown",
        "zh": "另有{count}条与这些医嘱有关的警示未显示",
    },
}

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~!@:&])")
_BARE_URL = re.compile(r"\bwww\.", re.IGNORECASE)


def render_text(key: str, language: Language, **values: object) -> str:
    """The text ``key`` with its values."""
    return TEXTS[key][language].format(**values)


def list_unchecked(drafts: DraftOrders, hidden_alerts: int, unprocessed: bool, language: Language) -> Iterator[str]:
    """What of draft orders was not checked or is not shown, the gravest first."""
    if unprocessed and drafts.orders:
        yield render_text("unchecked.record", language)
    counts = {
        "beyond": drafts.beyond,
        "unnamed": drafts.unnamed,
        "unreadable": drafts.unreadable,
        "missing": drafts.missing,
        "alerts": hidden_alerts,
    }
    for what, count in counts.items():
        if count > 0:
            yield render_text(f"unchecked.{what}", language, count=count, most=MOST)


def escape_markdown(text: str) -> str:
    """Text as Markdown that shows it as it is: no link, image, emphasis or HTML."""
    return _BARE_URL.sub(lambda m: m[0][:-1] + r"\.", _MARKDOWN.sub(r"\\\1", " ".join(text.split())))


def render_list(lines: Iterable[str]) -> str:
    """A Markdown list of texts."""
    return "\n".join(f"- {escape_markdown(line)}" for line in lines)


def shorten_summary(text: str) -> str:
    """At most the characters that a card's summary may have, cut at a word."""
    line = " ".join(text.split())
    if len(line) <= LONGEST_SUMMARY:
        return line
    cut = line[: LONGEST_SUMMARY - 1]
    at_word = cut.rpartition(" ")[0]
    return f"{at_word if len(at_word) > LONGEST_SUMMARY // 2 else cut}…"


def make_source(language: Language, label: str | None = None, url: str | None = None) -> Source:
    """A guideline as the source of a card; by default this clinic's records."""
    return Source(label=label or SOURCE[language], url=url)


def make_reasons(language: Language, *codes: str) -> list[Coding]:
    """The reasons by which a card may be overridden."""
    return [Coding(system=REASONS_SYSTEM, code=code, display=REASONS[code][1][language]) for code in codes]
