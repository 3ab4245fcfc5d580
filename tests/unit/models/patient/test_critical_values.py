"""Recorded values beyond a guideline's limit: which, for whom, for how long, and never one that is not recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.cds import card_texts
from bentos.cds.cds_types import LONGEST_SUMMARY
from models.patient.critical_values import LIMITS, find_critical_values
from models.vocabulary import SIGNALS

NOW = datetime(2026, 6, 7, 12, tzinfo=UTC)
PREGNANT = {"edd": NOW + timedelta(weeks=10), "pregnancy_since": NOW - timedelta(weeks=25)}
AFTER_BIRTH = {"pregnancy_ended": NOW - timedelta(weeks=3)}
LONG_AFTER = {"pregnancy_ended": NOW - timedelta(weeks=12)}


def row(days: float = 1, who: dict[str, Any] | None = None, **values: float) -> dict[str, Any]:
    found: dict[str, Any] = {"birth": datetime(1994, 3, 2, tzinfo=UTC), **(who or {})}
    for name, value in values.items():
        at = NOW - timedelta(days=days)
        found |= {f"{name}_latest": value, f"{name}_time": at, f"{name}_source": f"hash-{name}"}
    return found


def told(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [(f.limit.measure, f.indicator) for f in find_critical_values(values, NOW, "en")]


@pytest.mark.parametrize(
    ("who", "values", "expected"),
    [
        (PREGNANT, {"systolic": 160, "diastolic": 90}, "critical"),
        (PREGNANT, {"systolic": 150, "diastolic": 110}, "critical"),
        (AFTER_BIRTH, {"systolic": 165, "diastolic": 100}, "critical"),
        (PREGNANT, {"systolic": 159, "diastolic": 109}, "warning"),
        (PREGNANT, {"systolic": 139, "diastolic": 89}, None),
        (LONG_AFTER, {"systolic": 165, "diastolic": 112}, None),
        (None, {"systolic": 179, "diastolic": 119}, None),
        (None, {"systolic": 180, "diastolic": 90}, "critical"),
        (None, {"systolic": 150, "diastolic": 120}, "critical"),
        (PREGNANT, {"systolic": 89, "diastolic": 50}, "warning"),
        (PREGNANT, {"haemoglobin": 6.9}, "critical"),
        (PREGNANT, {"haemoglobin": 7.0}, "warning"),
        (PREGNANT, {"haemoglobin": 10.0}, None),
        (None, {"haemoglobin": 7.9}, "critical"),
        (None, {"haemoglobin": 11.0}, None),
        (None, {"glucose": 53}, "critical"),
        (None, {"glucose": 54}, None),
        (PREGNANT, {"glucose": 200}, "critical"),
        (None, {"glucose": 599}, "warning"),
        (None, {"glucose": 600}, "critical"),
        (PREGNANT, {"temperature": 38.0}, "warning"),
        (None, {"temperature": 38.0}, None),
        (AFTER_BIRTH, {"heart_rate": 131}, "critical"),
        (PREGNANT, {"heart_rate": 120}, "warning"),
        (None, {"phq9": 20}, "warning"),
        (None, {"weight": 300}, None),
    ],
)
def test_the_limits_stand_where_the_guidelines_put_them(
    who: dict[str, Any] | None, values: dict[str, float], expected: str | None
) -> None:
    assert [indicator for _, indicator in told(row(who=who, **values))] == ([expected] if expected else [])


def test_a_critical_value_ages_into_a_warning_and_then_says_nothing_of_today() -> None:
    severe = {"systolic": 165.0, "diastolic": 112.0}
    by_age = {days: told(row(days, PREGNANT, **severe)) for days in (0, 7, 8, 89, 91)}
    assert by_age[0] == by_age[7] == [("pressure", "critical")]
    assert by_age[8] == by_age[89] == [("pressure", "warning")]
    assert by_age[91] == []
    assert [f.stale for f in find_critical_values(row(8, PREGNANT, **severe), NOW, "en")] == [True]


def test_half_a_pressure_two_days_and_the_future_are_no_pressure() -> None:
    assert told(row(who=PREGNANT, systolic=170)) == []
    mixed = row(1, PREGNANT, systolic=170) | row(2, PREGNANT, diastolic=115)
    assert told(mixed) == []
    assert told(row(-1, PREGNANT, systolic=170, diastolic=115)) == []


def test_the_most_urgent_comes_first_with_value_age_and_source() -> None:
    both = row(2, PREGNANT, haemoglobin=9.0, systolic=170, diastolic=115)
    first, second = find_critical_values(both, NOW, "en")
    assert (first.indicator, second.indicator) == ("critical", "warning")
    assert (first.value, first.age) == ("blood pressure 170/115 mmHg", "2 days ago")
    assert first.sources == ("hash-systolic", "hash-diastolic")


@pytest.mark.parametrize("limit", LIMITS, ids=lambda m: f"{m.measure}-{m.who}-{m.indicator}")
def test_every_row_names_its_guideline_and_speaks_both_languages(limit: Any) -> None:
    label, url = limit.guideline
    assert label
    assert url.startswith("https://")
    assert set(limit.says) == {"en", "zh"}
    for language, text in limit.says.items():
        assert len(f"Blood pressure 165/112 mmHg, 12 months ago: {text}") <= LONGEST_SUMMARY, language


NUMBERS = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.integers(-10, 400)


@given(
    st.dictionaries(st.sampled_from([s.name for s in SIGNALS]), NUMBERS), st.sampled_from([None, PREGNANT, AFTER_BIRTH])
)
def test_any_row_can_be_read_and_a_finding_is_always_a_recorded_value(
    values: dict[str, Any], who: dict[str, Any] | None
) -> None:
    for found in find_critical_values(row(1, who, **values), NOW, "zh"):
        names = ("systolic", "diastolic") if found.limit.measure == "pressure" else (found.limit.measure,)
        assert found.limit.is_reached(tuple(float(values[name]) for name in names), (None, None))


@given(st.text(max_size=400))
def test_a_summary_is_one_short_line_and_markdown_shows_text_as_it_is(text: str) -> None:
    line = card_texts.shorten_summary(f"a {text}")
    assert 1 <= len(line) <= LONGEST_SUMMARY
    assert "\n" not in line
    shown = card_texts.escape_markdown(text)
    assert "](" not in shown.replace("\\]", "")
    assert "http:" not in shown.replace("\\:", "")


def test_a_record_cannot_bring_a_link_or_an_image_onto_a_card() -> None:
    evil = "![x](https://evil.example/p?q) <img src=x> **now** www.evil.example `rm`"
    shown = card_texts.escape_markdown(evil)
    assert shown == (
        r"\!\[x\](https\://evil.example/p?q) \<img src=x\> \*\*now\*\* www\.evil.example \`rm\`"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "comparator", "expected"),
    [
        ("haemoglobin", 7.0, ">=", []),
        ("haemoglobin", 8.0, "<", [("haemoglobin", "critical")]),
        ("haemoglobin", 8.0, "<=", [("haemoglobin", "warning")]),
        ("glucose", 600, ">", [("glucose", "critical")]),
        ("glucose", 650, "<", []),
    ],
)
def test_a_bound_makes_a_card_only_where_it_is_sure(
    name: str, value: float, comparator: str, expected: list[tuple[str, str]]
) -> None:
    assert told(row(**{name: value}) | {f"{name}_comparator": comparator}) == expected


def test_a_card_says_the_bound() -> None:
    (found,) = find_critical_values(row(glucose=600) | {"glucose_comparator": ">"}, NOW, "en")
    assert found.value == "blood glucose above 600 mg/dL"


def test_a_card_says_that_a_value_is_preliminary() -> None:
    (found,) = find_critical_values(row(glucose=600) | {"glucose_comparator": "preliminary"}, NOW, "en")
    assert found.value == "blood glucose 600 mg/dL (preliminary)"
