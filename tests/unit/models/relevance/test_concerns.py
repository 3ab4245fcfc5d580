"""The table of relevant findings: sourced, in the vocabulary's words, and matched in both languages."""

from __future__ import annotations

import re

import numpy as np
import pytest

from models.encoder import MiniLM
from models.relevance.concerns import (
    STATES,
    Concern,
    compute_relevance,
    load_concerns,
    mark_finding,
    mark_findings,
    match_concerns,
    match_nothing,
)
from models.vocabulary import CONCEPTS, DRUG_CLASSES, SIGNALS

PRESENT, ABSENT = range(len(STATES))
NAMED = {concept.name for concept in CONCEPTS} | {signal.name for signal in SIGNALS} | {"blood_pressure"}
#: Sentences that are neither a condition, a signal nor a medicine.
OTHER_SENTENCES = {"age", "smoking", "history.miscarriages", "pregnancy"}


def find_matched(question: str, encoder: MiniLM) -> set[str]:
    return {c.name for c, match in zip(load_concerns(), match_concerns(question, encoder), strict=True) if match > 0.5}


def rate(question: str, key: str, encoder: MiniLM) -> tuple[float, float]:
    present, absent = compute_relevance(match_concerns(question, encoder), mark_findings([key]))[0].tolist()
    return present, absent


@pytest.mark.parametrize("concern", load_concerns(), ids=lambda concern: concern.name)
def test_every_row_has_a_source_and_names_what_the_record_can_state(concern: Concern) -> None:
    assert re.search(r"NICE|BNF|UKTIS|FDA|FSRH|BSH|RCOG|ACOG|Institute of Medicine", concern.source)
    unknown = {
        finding
        for finding in concern.findings - NAMED - OTHER_SENTENCES
        if finding.removeprefix("medicine.") not in DRUG_CLASSES or not finding.startswith("medicine.")
    }
    assert not unknown


def test_the_names_of_concerns_are_distinct() -> None:
    assert len({c.name for c in load_concerns()}) == len(load_concerns())


@pytest.mark.parametrize(
    ("question", "concern"),
    [
        ("Is it normal to feel this tired?", "tiredness"),
        ("Always exhausted lately, should I be tested?", "tiredness"),
        ("我最近总是很累，正常吗？", "tiredness"),
        ("Can I take ibuprofen for the pain?", "anti_inflammatory_painkiller"),
        ("Is Aleve all right for my back?", "anti_inflammatory_painkiller"),
        ("头疼能吃芬必得吗？", "anti_inflammatory_painkiller"),
        ("头疼能吃芬必得吗？", "headache"),
        ("My head has been pounding all day", "headache"),
        ("Do I need more folic acid before we try for a baby?", "preconception"),
    ],
)
def test_a_question_matches_its_concern_in_words_that_are_not_in_the_table(
    question: str, concern: str, encoder: MiniLM
) -> None:
    assert concern in find_matched(question, encoder)


@pytest.mark.parametrize("question", ["Where can I park at the clinic?", "停车场在哪里？", "", "?!", "a" * 4000])
def test_a_question_about_something_else_matches_nothing(question: str, encoder: MiniLM) -> None:
    assert find_matched(question, encoder) == set()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("condition.anaemia", (1.0, 0.0)),
        ("suspected.anaemia", (1.0, 0.0)),
        ("no.anaemia", (0.0, 1.0)),
        ("haemoglobin.latest", (0.5, 0.5)),
        ("haemoglobin.change", (0.5, 0.5)),
        ("medicine.iron", (1.0, 0.0)),
        ("condition.code:SNOMED//78275009", (1.0, 0.0)),
        ("condition.code:ICD10//G47.33", (1.0, 0.0)),
        ("condition.code:ICD10//G43.9", (0.0, 0.0)),
        ("no.epilepsy", (0.0, 0.0)),
        ("visits.recent", (0.0, 0.0)),
    ],
)
def test_a_finding_is_named_by_its_key_as_present_or_absent(
    key: str, expected: tuple[float, float], encoder: MiniLM
) -> None:
    assert rate("Why am I so tired?", key, encoder) == expected


def test_nothing_is_relevant_to_a_question_without_a_concern() -> None:
    assert not compute_relevance(match_nothing(), mark_findings(["condition.anaemia", "no.thyroid"])).any()
    assert compute_relevance(match_nothing(), mark_findings([])).shape == (0, len(STATES))


def test_a_mark_is_shared_and_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        mark_finding("condition.anaemia")[0, PRESENT] = 0.0
    assert np.array_equal(mark_finding("no.anaemia")[:, ABSENT], mark_finding("condition.anaemia")[:, PRESENT])
