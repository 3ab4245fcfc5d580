"""A clinician's reply: the rows of the topic's rules that hold for this chart, in the style she is answered in.

rows    = the first ≤ 4 rows whose condition holds, in order of clinical weight
brief   = one general sentence and one sentence a row, under 45 words
detailed = both general sentences, each row's sentence and its explanation, 45 words or more
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from pipelines.synthetic.portal.rules import Row, Topic
from pipelines.synthetic.records.chart import Chart
from pipelines.synthetic.records.traits import Style

#: Replies shorter than this are brief: where the preferences feature draws the line too.
BRIEF_WORDS = 45
MOST_ROWS = 4
FEWEST_ROWS = 2


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a reply and the segment keys it rests on (none for a general one)."""

    text: str
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply in its style, the rules behind it and whether it says all that mattered."""

    topic: str
    style: Style
    sentences: tuple[Sentence, ...]
    rule_ids: tuple[str, ...]
    complete: bool

    @property
    def text(self) -> str:
        return " ".join(s.text for s in self.sentences)

    @property
    def facts(self) -> frozenset[str]:
        return frozenset(key for s in self.sentences for key in s.facts)


def words(text: str) -> int:
    return len(text.split())


def matching(topic: Topic, chart: Chart) -> list[Row]:
    """All rows that hold for the chart and can be said of it, in order of clinical weight."""
    return [row for row in topic.rows if row.condition(chart.facts) and any(map(chart.fill, row.say))]


def compose(topic: Topic, chart: Chart, style: Style, rng: random.Random) -> Reply | None:
    """The reply, or None when fewer than two rows hold: then the rules have nothing of her own to say."""
    rows = matching(topic, chart)
    if len(rows) < (1 if topic.urgent else FEWEST_ROWS):
        return None
    wanted = rows[:MOST_ROWS]
    compose_in = _brief if style == "brief" else _detailed
    sentences, said = compose_in(topic, wanted, chart, rng)
    rules = tuple(row.id for row in wanted[:said])
    return Reply(topic.topic, style, tuple(sentences), rules, said == len(wanted))


def _say(row: Row, texts: list[str], chart: Chart, rng: random.Random) -> Sentence:
    filled = [text for text in map(chart.fill, texts) if text]
    facts = tuple(key for key in row.facts if key in chart.keys)
    return Sentence(rng.choice(filled), facts)


def _brief(topic: Topic, rows: list[Row], chart: Chart, rng: random.Random) -> tuple[list[Sentence], int]:
    sentences = [Sentence(topic.general[0])]
    for row in rows:
        said = _say(row, row.say, chart, rng)
        if words(" ".join(s.text for s in (*sentences, said))) >= BRIEF_WORDS:
            break
        sentences.append(said)
    return sentences, len(sentences) - 1


def _detailed(topic: Topic, rows: list[Row], chart: Chart, rng: random.Random) -> tuple[list[Sentence], int]:
    sentences = [Sentence(topic.general[0])]
    for row in rows:
        sentences += [_say(row, row.say, chart, rng), _say(row, row.explain, chart, rng)]
    return [*sentences, Sentence(topic.general[1])], len(rows)
