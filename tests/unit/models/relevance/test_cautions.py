"""What guidance requires for a question stays in the prompt, whatever a clinic's replies teach."""

from __future__ import annotations

import numpy as np
import pytest

from models.code_sets import CodeSet
from models.encoder import MiniLM
from models.relevance.cautions import find_cautions
from models.relevance.concerns import load_concerns, match_concerns
from models.schema import Segment

IBUPROFEN = "Can I take ibuprofen for the pain?"
TIRED = "Is it normal to feel this tired?"


def state(key: str, change: float = 0.0, recency_days: float | None = None) -> Segment:
    return Segment(key, "record", f"Sentence on {key}.", change=change, recency_days=recency_days, tokens=8)


def find_required(question: str, segments: list[Segment], encoder: MiniLM) -> list[str]:
    return [segments[c.place].key for c in find_cautions(match_concerns(question, encoder), segments)]


def test_every_caution_is_a_finding_of_its_row() -> None:
    for concern in load_concerns():
        assert set(concern.cautions) - {"codes"} <= concern.findings, concern.name
        assert "codes" not in concern.cautions or concern.codes != CodeSet(frozenset(), ())


def test_contraindications_stay_with_the_gravest_first(encoder: MiniLM) -> None:
    record = [state(k) for k in ("condition.reflux", "condition.migraine", "condition.asthma")]
    assert find_required(IBUPROFEN, [*record, state("condition.kidney_disease")], encoder) == [
        "condition.kidney_disease",
        "condition.asthma",
        "condition.reflux",
    ]


def test_a_peptic_ulcer_stays_by_its_code(encoder: MiniLM) -> None:
    assert find_required(IBUPROFEN, [state("code:SNOMED//13200003")], encoder) == ["code:SNOMED//13200003"]


def test_a_suspected_condition_counts_as_present_and_an_absent_one_does_not(encoder: MiniLM) -> None:
    record = [state("no.asthma"), state("suspected.kidney_disease")]
    assert find_required(IBUPROFEN, record, encoder) == ["suspected.kidney_disease"]


@pytest.mark.parametrize("question", ["Where can I park?", "头疼能吃对乙酰氨基酚吗？", ""])
def test_another_question_requires_nothing_of_it(question: str, encoder: MiniLM) -> None:
    assert find_required(question, [state("condition.reflux"), state("condition.asthma")], encoder) == []


def test_a_question_in_chinese_requires_the_same(encoder: MiniLM) -> None:
    assert find_required("我可以吃布洛芬吗？", [state("condition.asthma")], encoder) == ["condition.asthma"]


@pytest.mark.parametrize(
    ("change", "required"), [(-2.4, "haemoglobin.change"), (0.3, "haemoglobin.latest"), (2.1, "haemoglobin.change")]
)
def test_a_signal_is_stated_once_and_by_its_change_outside_the_patients_band(
    change: float, required: str, encoder: MiniLM
) -> None:
    record = [state("haemoglobin.latest", change, 10), state("haemoglobin.change", change, 10)]
    assert find_required(TIRED, record, encoder) == [required]


@pytest.mark.parametrize(
    ("value", "required"),
    [
        ("Haemoglobin 10.7 g/dL, low, 6 days ago", "haemoglobin.latest"),
        ("血红蛋白10.7 g/dL，偏低，6天前", "haemoglobin.latest"),
        ("Haemoglobin 12.1 g/dL, normal, 6 days ago", "haemoglobin.change"),
    ],
)
def test_a_low_value_is_stated_as_low_even_where_it_also_moved(value: str, required: str, encoder: MiniLM) -> None:
    latest = Segment("haemoglobin.latest", "record", value, change=-2.9, recency_days=6)
    assert find_required(TIRED, [state("haemoglobin.change", -2.9, 6), latest], encoder) == [required]


def test_a_value_older_than_a_year_is_not_required(encoder: MiniLM) -> None:
    assert find_required(TIRED, [state("haemoglobin.latest", 0.0, 500)], encoder) == []


def test_a_pinned_fact_is_not_required_again(encoder: MiniLM) -> None:
    pinned = Segment("condition.asthma", "pinned", "Asthma.", pinned=True)
    assert find_cautions(match_concerns(IBUPROFEN, encoder), [pinned]) == []


def test_each_caution_names_its_source(encoder: MiniLM) -> None:
    (caution,) = find_cautions(match_concerns(IBUPROFEN, encoder), [state("condition.asthma")])
    assert caution.source.startswith("BNF")


def test_no_question_requires_nothing() -> None:
    assert find_cautions(np.zeros(len(load_concerns()), np.float32), [state("condition.asthma")]) == []
