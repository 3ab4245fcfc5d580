"""Mechanisms: where like women matter, and that they do not in a control."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.synthetic.portal import replies
from pipelines.synthetic.portal.emphasis import find_emphasis, order_rows
from pipelines.synthetic.portal.quotations import quote_outcome
from pipelines.synthetic.portal.rules import Topic, load_topics
from pipelines.synthetic.records import likeness
from pipelines.synthetic.records.chart import Chart
from pipelines.synthetic.records.likeness import Concern, Site, apply_likeness, draw_likeness
from pipelines.synthetic.records.options import MECHANISMS, SAMPLE_OPTIONS, ClinicOptions
from pipelines.synthetic.records.traits import draw_traits
from pmlm.cli import synthetic as command

ALL = ClinicOptions(frozenset(MECHANISMS))
CONTROLS = [t for t in load_topics() if t.mechanism is None]
CHART = Chart(
    datetime(2026, 6, 3, tzinfo=UTC),
    {"systolic": 118, "diastolic": 70, "haemoglobin": 9.8, "phq9": 12, "asthma": True, "takes_antidepressant": True,
     "weeks": 33, "no_thyroid": True, "no_migraine": True, "bmi": 31.0, "age": 36, "glucose": 90},
)  # fmt: skip


def shared(index: int, problems: frozenset[str] | None = None) -> likeness.Likeness:
    traits = draw_traits(1, index)
    return draw_likeness(replace(traits, problems=traits.problems if problems is None else problems), 30, f"p{index}")


def topic(name: str) -> Topic:
    return next(t for t in load_topics() if t.topic == name)


def test_each_mechanism_has_topics_and_six_topics_are_controls() -> None:
    assert {t.mechanism for t in load_topics()} == {None, *MECHANISMS}
    assert len(CONTROLS) >= 6
    assert all(t.mechanism is None for t in load_topics() if t.urgent)


def test_the_command_offers_every_mechanism() -> None:
    assert {str(m) for m in command.Mechanism} == {*MECHANISMS, "all"}


@given(st.integers(0, 5000), st.sampled_from(CONTROLS), st.integers(), st.sampled_from(["brief", "detailed"]))
def test_a_control_is_answered_the_same_whoever_is_like_her(index: int, control: Topic, seed: int, style: str) -> None:
    rng = random.Random(seed)
    assert quote_outcome(control, shared(index), ALL, rng) is None
    emphasis = find_emphasis(control, shared(index), ALL)
    with_peers = replies.compose_reply(control, CHART, style, rng, emphasis)
    assert with_peers == replies.compose_reply(control, CHART, style, random.Random(seed))


@given(st.integers(0, 5000), st.sampled_from(load_topics()))
def test_without_the_option_no_topic_has_a_mechanism(index: int, any_topic: Topic) -> None:
    assert find_emphasis(any_topic, shared(index), SAMPLE_OPTIONS) is None
    assert quote_outcome(any_topic, shared(index), SAMPLE_OPTIONS, random.Random(1)) is None
    traits = draw_traits(1, index)
    assert apply_likeness(traits, shared(index), SAMPLE_OPTIONS, "p") == traits


def share(count: int, holds: Callable[[int], bool]) -> float:
    return sum(map(holds, range(count))) / count


def test_women_of_one_group_mostly_share_concern_site_and_style() -> None:
    problems = frozenset({"epilepsy"})
    assert 0.8 < share(400, lambda n: shared(n, problems).concern == "medicines") < 0.97
    assert 0.8 < share(400, lambda n: shared(n, problems).site == "hospital") < 0.97
    styles = [apply_likeness(draw_traits(1, n), shared(n, problems), ALL, f"p{n}").style for n in range(400)]
    assert 0.8 < styles.count("detailed") / 400 < 0.99


def test_women_at_risk_have_the_outcome_as_often_as_is_quoted() -> None:
    for problems, expected in ((frozenset({"pcos"}), 0.45), (frozenset({"asthma"}), 0.1)):
        traits = [replace(draw_traits(1, n), problems=problems) for n in range(600)]
        ill = [apply_likeness(t, shared(n, problems), ALL, f"p{n}").sugar >= 40 for n, t in enumerate(traits)]
        assert abs(sum(ill) / 600 - expected) < 0.06


def test_an_outcome_is_quoted_to_women_whose_risk_is_raised() -> None:
    rng = random.Random(1)
    quoted = quote_outcome(topic("glucose_diet"), shared(1, frozenset({"pcos"})), ALL, rng)
    assert quoted is not None
    assert quoted.facts == ("peer.gestational_diabetes",)
    assert "45" in quoted.text
    assert quote_outcome(topic("glucose_diet"), shared(1, frozenset()), ALL, rng) is None


def test_a_quotation_stands_behind_the_general_sentence() -> None:
    quotation = replies.ReplySentence("Of women like you, 45 in 100.", ("peer.gestational_diabetes",))
    for style in ("brief", "detailed"):
        reply = replies.compose_reply(topic("glucose_diet"), CHART, style, random.Random(1), None, quotation)
        assert reply is not None
        assert reply.sentences[1] == quotation
        assert len(reply.rule_ids) >= 2


@given(st.sampled_from(load_topics()), st.sampled_from(get_args(Concern)))
def test_an_emphasis_loses_no_rule_and_moves_no_allergy_back(any_topic: Topic, emphasis: Concern) -> None:
    ordered = order_rows(list(any_topic.rows), emphasis)
    assert sorted(r.id for r in ordered) == sorted(r.id for r in any_topic.rows)
    for row in (r for r in any_topic.rows if "allergies" in r.facts):
        assert ordered.index(row) <= any_topic.rows.index(row)


def test_an_emphasis_decides_which_facts_are_said() -> None:
    found = {}
    for emphasis in get_args(Concern):
        reply = replies.compose_reply(topic("tiredness"), CHART, "brief", random.Random(1), emphasis)
        assert reply is not None
        found[emphasis] = reply.rule_ids[0]
    assert found == {
        "medicines": "antidepressant", "numbers": "haemoglobin_low", "conditions": "asthma",
        "absences": "haemoglobin_low",
    }  # fmt: skip


@pytest.mark.parametrize("emphasis", get_args(Concern))
@pytest.mark.parametrize("style", ["brief", "detailed"])
def test_an_emphasised_reply_states_two_rules_in_its_style(emphasis: Concern, style: str) -> None:
    for any_topic in load_topics():
        reply = replies.compose_reply(any_topic, CHART, style, random.Random(1), emphasis)
        if reply is not None and any_topic.mechanism in ("shared_traits", "local_practice"):
            assert len(reply.rule_ids) == replies.EMPHASISED_ROWS
            assert (replies.count_words(reply.text) < replies.BRIEF_WORDS) == (style == "brief")


@pytest.mark.parametrize("site", get_args(Site))
def test_a_site_has_two_clinicians_of_its_own(site: Site) -> None:
    practitioners = likeness.build_clinicians(site)
    others = [r["id"] for s in get_args(Site) if s != site for r in likeness.build_clinicians(s)]
    assert len({r["id"] for r in practitioners} - set(others)) == 2
