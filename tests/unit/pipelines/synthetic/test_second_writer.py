"""The second writer: other words and another order, the same numbers and drugs."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.synthetic.portal.replies import ReplySentence, RuleReply
from pipelines.synthetic.portal.rules import load_topics
from pipelines.synthetic.portal.second_writer import mistype_reply, rewrite_reply
from pipelines.synthetic.portal.spoken_facts import find_unspoken, names_fact

TEXTS = [text for t in load_topics() for row in t.rows for text in (*row.say, *row.explain)]


def reply_of(texts: list[str]) -> RuleReply:
    own = [ReplySentence(text.replace("{", "").replace("}", ""), (f"k{n}",)) for n, text in enumerate(texts)]
    return RuleReply("tiredness", "detailed", (ReplySentence("Rest when you can."), *own), ("r",), True)


@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=8, unique=True), st.integers())
def test_numbers_and_the_facts_that_remain_are_those_of_the_first_writer(texts: list[str], seed: int) -> None:
    first = reply_of(texts)
    second = mistype_reply(rewrite_reply(first, random.Random(seed)), random.Random(seed))
    before = {s.facts: s.text for s in first.sentences}
    assert second.facts
    for sentence in second.sentences:
        assert sentence.facts in before
        assert sorted(re.findall(r"\d+", sentence.text)) == sorted(re.findall(r"\d+", before[sentence.facts]))


@pytest.mark.parametrize("drug", ["nitrofurantoin", "levothyroxine", "metformin", "omeprazole", "sumatriptan"])
def test_no_drug_is_mistyped(drug: str) -> None:
    first = reply_of([f"Keep taking {drug} every day."])
    assert all(drug in mistype_reply(first, random.Random(n)).text for n in range(200))


def test_a_few_long_words_are_mistyped_and_no_short_one() -> None:
    first = reply_of(["Please continue everything without stopping it."] * 300)
    words, written = first.text.split(" "), mistype_reply(first, random.Random(1)).text.split(" ")
    assert 10 < sum(a != b for a, b in zip(words, written, strict=True)) < 150
    assert all(a == b or (len(a) >= 6 and sorted(a) == sorted(b)) for a, b in zip(words, written, strict=True))


def test_a_reason_is_turned_round() -> None:
    first = reply_of(["Because your haemoglobin fell, please rest.", "Because of your reflux, sit upright."])
    texts = {s.text for n in range(20) for s in rewrite_reply(first, random.Random(n)).sentences if s.facts}
    assert texts == {"Pls rest, given that your Hb fell.", "Because of your reflux, sit upright."}


def test_most_sentences_are_worded_otherwise_and_some_left_out() -> None:
    first = reply_of(TEXTS[:40])
    second = rewrite_reply(first, random.Random(1))
    before = {s.text for s in first.sentences}
    assert 0.6 < len(second.sentences) / len(first.sentences) < 0.98
    assert sum(s.text not in before for s in second.sentences) / len(second.sentences) > 0.4
    assert not second.complete


@pytest.mark.parametrize(
    ("text", "key", "named"),
    [
        ("As you have no epilepsy, 0.4 mg of folic acid is enough.", "no.epilepsy", True),
        ("0.4 mg of folic acid is enough.", "no.epilepsy", False),
        ("At 118/70 there is nothing to treat.", "blood_pressure.latest", True),
        ("Your Hb of 9.8 g/dL is on the low side.", "haemoglobin.latest", True),
        ("Take sumatriptan early.", "medicine.migraine_medicine", True),
        ("Rest when you can.", "medicine.iron", False),
        ("In our clinic 45 of 100 similar patients had gestational diabetes.", "peer.gestational_diabetes", True),
    ],
)
def test_a_sentence_names_a_fact_by_a_word_of_it(text: str, key: str, named: bool) -> None:
    assert names_fact(text, key) == named
    assert find_unspoken([ReplySentence(text, (key,))]) == (frozenset() if named else frozenset({key}))


def test_every_fact_of_the_rules_can_be_looked_for() -> None:
    for topic in load_topics():
        for key in topic.keys:
            assert not names_fact("", key)
