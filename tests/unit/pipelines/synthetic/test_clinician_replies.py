"""Replies by the rules: short enough or long enough, and resting on facts that hold."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.synthetic.portal import replies
from pipelines.synthetic.portal.rules import Topic, load_topics
from pipelines.synthetic.records.chart import FACT_KEYS, Chart

NOW = datetime(2026, 6, 3, tzinfo=UTC)
NUMBERS = {
    "systolic": st.integers(95, 170), "diastolic": st.integers(55, 110), "haemoglobin": st.floats(8, 14),
    "glucose": st.integers(70, 180), "weight": st.floats(45, 120), "bmi": st.floats(18, 42),
    "phq9": st.integers(0, 22),
    "pain": st.integers(0, 10), "weeks": st.integers(6, 41), "age": st.integers(18, 44),
    "miscarriages": st.integers(1, 3),
    "weight_rise": st.floats(1, 5), "haemoglobin_fall": st.floats(0.5, 3), "postpartum_weeks": st.integers(0, 40),
}  # fmt: skip


@st.composite
def charts(draw: st.DrawFn) -> Chart:
    """Any chart with a measured pressure, index and count; other facts known or not."""
    always = {"systolic", "diastolic", "haemoglobin", "bmi", "phq9", "pain"}
    numbers = {n: draw(s) for n, s in NUMBERS.items() if n in always or draw(st.booleans())}
    flags = {n: draw(st.booleans()) for n in FACT_KEYS if n not in NUMBERS and not n.endswith(("_rise", "_fall"))}
    absent = {f"no_{n}": not value for n, value in flags.items() if f"no_{n}" in FACT_KEYS}
    return Chart(NOW, numbers | flags | absent)


@given(charts(), st.sampled_from(load_topics()), st.sampled_from(["brief", "detailed"]), st.integers())
def test_reply_keeps_its_style_and_rests_on_facts_that_hold(chart: Chart, topic: Topic, style: str, seed: int) -> None:
    reply = replies.compose_reply(topic, chart, style, random.Random(seed))
    if reply is None:
        assert len(replies.find_matching_rows(topic, chart)) < replies.FEWEST_ROWS
        return
    assert (replies.count_words(reply.text) < replies.BRIEF_WORDS) == (style == "brief")
    assert reply.facts <= chart.keys & topic.keys
    assert 1 <= len(reply.rule_ids) <= replies.MOST_ROWS
    assert "{" not in reply.text


@pytest.mark.parametrize("topic", load_topics(), ids=lambda t: t.topic)
def test_brief_reply_has_room_for_two_facts(topic: Topic) -> None:
    longest = sorted((max(map(replies.count_words, row.say)) for row in topic.rows), reverse=True)[:2]
    assert replies.count_words(topic.general[0]) + sum(longest) < replies.BRIEF_WORDS
