"""Compose a clinician's reply from the topic's rules that are true of a chart.

rows     = the first ≤ 4 rows whose condition is true, in order of clinical weight; with an emphasis the first ≤ 2,
           those of the emphasised kind before the others
brief    = one general sentence and one sentence per row, under 45 words
detailed = both general sentences, each row's sentence and its explanation, 45 words or more
a quotation of like women's outcomes, where one is due, follows the first general sentence
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from pipelines.synthetic.portal.emphasis import order_rows
from pipelines.synthetic.portal.rules import RuleRow, Topic
from pipelines.synthetic.records.chart import Chart
from pipelines.synthetic.records.likeness import Concern
from pipelines.synthetic.records.traits import Style

#: Replies shorter than this are brief, as in the preferences feature.
BRIEF_WORDS = 45
MOST_ROWS = 4
#: With an emphasis only so many, so that the order of the rows decides what the reply states.
EMPHASISED_ROWS = 2
FEWEST_ROWS = 2


@dataclass(frozen=True, slots=True)
class ReplySentence:
    """One sentence of a reply and the segment keys it rests on, none if general."""

    text: str
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleReply:
    """A reply, its style, the rules behind it, whether it uses all that matter."""

    topic: str
    style: Style
    sentences: tuple[ReplySentence, ...]
    rule_ids: tuple[str, ...]
    complete: bool

    @property
    def text(self) -> str:
        return " ".join(s.text for s in self.sentences)

    @property
    def facts(self) -> frozenset[str]:
        return frozenset(key for s in self.sentences for key in s.facts)


def count_words(text: str) -> int:
    return len(text.split())


def find_matching_rows(topic: Topic, chart: Chart) -> list[RuleRow]:
    """Find the rows that are true of the chart and fillable, by clinical weight."""
    return [row for row in topic.rows if row.condition(chart.facts) and any(map(chart.fill, row.say))]


def compose_reply(
    topic: Topic,
    chart: Chart,
    style: Style,
    rng: random.Random,
    emphasis: Concern | None = None,
    quotation: ReplySentence | None = None,
) -> RuleReply | None:
    """Compose the reply; None when too few rows match (two, one if urgent)."""
    rows = order_rows(find_matching_rows(topic, chart), emphasis)
    if len(rows) < (1 if topic.urgent else FEWEST_ROWS):
        return None
    wanted = rows[: EMPHASISED_ROWS if emphasis else MOST_ROWS]
    compose_in = _compose_brief if style == "brief" else _compose_detailed
    opening = [ReplySentence(topic.general[0])] + ([quotation] if quotation else [])
    sentences, used = compose_in(topic, opening, wanted, chart, rng)
    rules = tuple(row.id for row in wanted[:used])
    return RuleReply(topic.topic, style, tuple(sentences), rules, used == len(wanted))


def _fill_row(row: RuleRow, texts: list[str], chart: Chart, rng: random.Random) -> ReplySentence:
    filled = [text for text in map(chart.fill, texts) if text]
    facts = tuple(key for key in row.facts if key in chart.keys)
    return ReplySentence(rng.choice(filled), facts)


def _compose_brief(
    topic: Topic, opening: list[ReplySentence], rows: list[RuleRow], chart: Chart, rng: random.Random
) -> tuple[list[ReplySentence], int]:
    sentences = list(opening)
    for row in rows:
        sentence = _fill_row(row, row.say, chart, rng)
        if count_words(" ".join(s.text for s in (*sentences, sentence))) >= BRIEF_WORDS:
            break
        sentences.append(sentence)
    return sentences, len(sentences) - len(opening)


def _compose_detailed(
    topic: Topic, opening: list[ReplySentence], rows: list[RuleRow], chart: Chart, rng: random.Random
) -> tuple[list[ReplySentence], int]:
    sentences = list(opening)
    for row in rows:
        sentences += [_fill_row(row, row.say, chart, rng), _fill_row(row, row.explain, chart, rng)]
    return [*sentences, ReplySentence(topic.general[1])], len(rows)
