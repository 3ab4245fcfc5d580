"""Rows on reply drafts: who the record is of matters, and no sentence lacks its fact."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evaluation.study.rows import drafts
from tests.unit.models.drafts import clinic_of_replies as clinic
from tests.unit.models.drafts.clinic_of_replies import WordEncoder


def test_a_clinic_that_answers_by_the_record_is_better_drafted_than_by_the_question() -> None:
    test = [replace(e, split="test") for e in (*map(clinic.low, range(500, 508)), *map(clinic.fine, range(600, 608)))]
    rows = {row.name: row for row in drafts.build_rows(clinic.clinic(), test, WordEncoder(), 10, "test")}
    assert rows["draft_f1"].value > rows["draft_f1_unpersonalised"].value
    for rival in drafts.RIVALS:
        assert {f"draft_f1_vs_{rival}", f"draft_rouge_l_vs_{rival}"} <= set(rows)
    assert (rows["draft_contraindicated"].value, rows["draft_contraindicated"].holds) == (0.0, True)
    assert rows["draft_f1"].n == rows["draft_f1"].patients == 16


def test_without_episodes_there_are_no_rows() -> None:
    assert drafts.build_rows([], [], WordEncoder(), 10, "test") == []


@pytest.mark.parametrize(
    ("text", "reference", "value"),
    [("take iron now", "Take iron, now.", 1.0), ("a b c d", "b d", 2 / 3), ("", "a", 0.0), ("x", "y", 0.0)],
)
def test_rouge_l_is_the_longest_common_subsequence(text: str, reference: str, value: float) -> None:
    assert drafts.measure_rouge_l(text, reference) == pytest.approx(value)


@given(st.text("ab ", max_size=12), st.text("ab ", max_size=12))
def test_rouge_l_is_symmetric_and_within_bounds(one: str, other: str) -> None:
    assert 0 <= drafts.measure_rouge_l(one, other) == drafts.measure_rouge_l(other, one) <= 1
