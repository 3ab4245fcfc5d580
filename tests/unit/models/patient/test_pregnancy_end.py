"""A pregnancy ends once, on the first day that says so exactly, else within a range."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from models.patient.pregnancy_end import PUERPERIUM, End, find_last_end
from models.patient.pregnancy_statements import Meaning, Statement

BIRTH = date(2026, 5, 20)


def _state(meaning: Meaning, day: date, **more: Any) -> Statement:
    return Statement(meaning, "SNOMED//1", "", day, f"{meaning} {day}", **more)


def _days(end: End | None) -> tuple[date, date] | None:
    return None if end is None else (end.first, end.last)


def test_several_entries_of_one_birth_are_one_end_on_its_first_day() -> None:
    entries = [_state("ended", BIRTH + timedelta(days=n)) for n in (0, 1, 6)]
    assert _days(find_last_end(entries)) == (BIRTH, BIRTH)


def test_an_earlier_pregnancys_end_is_another_end() -> None:
    entries = [_state("ended", BIRTH - timedelta(days=400)), _state("ended", BIRTH)]
    assert _days(find_last_end(entries)) == (BIRTH, BIRTH)


def test_an_exact_birth_within_the_days_of_a_closed_condition_counts() -> None:
    closed = _state("pregnancy", date(2025, 10, 1), closed=(BIRTH - timedelta(days=9), BIRTH + timedelta(days=5)))
    assert _days(find_last_end([closed])) == closed.closed
    assert _days(find_last_end([closed, _state("ended", BIRTH)])) == (BIRTH, BIRTH)


def test_a_closed_condition_that_another_outlives_is_no_end() -> None:
    closed = _state("pregnancy", date(2025, 10, 1), closed=(BIRTH, BIRTH))
    assert find_last_end([closed, _state("pregnancy", date(2025, 11, 1))]) is None


def test_an_encounters_diagnosis_closed_with_its_visit_is_no_end() -> None:
    assert find_last_end([_state("pregnancy", BIRTH, closed=(BIRTH, BIRTH))]) is None


def test_puerperal_care_shows_only_that_it_ended_before() -> None:
    visit = _state("postpartum", BIRTH + timedelta(days=40))
    assert _days(find_last_end([visit])) == (visit.day - PUERPERIUM, visit.day)
    assert _days(find_last_end([visit, _state("ended", BIRTH)])) == (BIRTH, BIRTH)
    late = _state("postpartum", BIRTH + timedelta(days=200))
    assert _days(find_last_end([late, _state("ended", BIRTH)])) == (BIRTH, BIRTH)


@pytest.mark.parametrize("span", [1, 30])
def test_an_end_of_a_partial_date_is_a_range(span: int) -> None:
    assert _days(find_last_end([_state("ended", BIRTH, span=span)])) == (BIRTH - timedelta(days=span), BIRTH)
