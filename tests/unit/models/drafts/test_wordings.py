"""Sentences without their numbers, and which of them are one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.drafts import wordings
from tests.unit.models.drafts.clinic_of_replies import WordEncoder


@pytest.mark.parametrize(
    ("sentence", "masked"),
    [
        ("At 128/84 it is fine.", "At #/# it is fine.".replace("#/#", "#")),
        ("A PHQ-9 score of 12 and B12 of 3.5.", "A PHQ-9 score of # and B12 of #."),
        ("Take 0.4 mg, or 20mg.", "Take # mg, or #mg."),
    ],
)
def test_numbers_that_stand_alone_are_masked(sentence: str, masked: str) -> None:
    assert wordings.mask_numbers(sentence) == masked


@given(st.text(st.sampled_from("ab #1/.0-"), max_size=30).filter(lambda text: "#" not in text))
def test_what_is_masked_can_be_filled_again(sentence: str) -> None:
    assert wordings.fill_blanks(wordings.mask_numbers(sentence), wordings.NUMBER.findall(sentence)) == sentence


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Your iron value today is low.", "Your iron value today is fine."),
        ("Please do take it with food.", "Please do not take it with food."),
        ("Your weight rose since last month.", "Your weight fell since last month."),
        ("Take the ibuprofen with some food now.", "Take the paracetamol with some food now."),
        ("Please stop the tablets in the evening.", "Please start the tablets in the evening."),
        ("You are allergic to this one here.", "You are used to this one here."),
    ],
)
def test_sentences_of_opposite_sense_are_never_one_cluster(one: str, other: str) -> None:
    first, second = wordings.WordingClusters(WordEncoder(), same=0.5).fit([one, other])
    assert first != second


def test_paraphrases_are_one_cluster_and_unseen_wordings_are_found() -> None:
    clusters = wordings.WordingClusters(WordEncoder(), same=0.7)
    first, second = clusters.fit(["Tea hinders iron, leave an hour.", "Tea hinders iron, so leave an hour."])
    assert first == second == clusters.find("Tea hinders iron, please leave an hour.")
    assert clusters.find("Something else entirely.") is None
