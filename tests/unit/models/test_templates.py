"""Words come from the template files, and record text is made harmless first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.peers.aggregates import OUTCOMES
from models.templates import (
    DATE_LIKE,
    MAX_RECORD_TEXT,
    TEMPLATE_VERSION,
    TEMPLATES,
    format_ago,
    look_up_label,
    render_sentence,
    sanitize_line,
    sanitize_record_text,
)
from models.vocabulary import CONCEPTS, DRUG_CLASSES, SIGNALS
from tests.unit.models.feature_rows import AS_OF, HOSTILE, record_text


def _keys(node: Any, path: str = "") -> set[str]:
    if not isinstance(node, dict):
        return {path}
    return {k for name, child in node.items() for k in _keys(child, f"{path}.{name}")}


def _file(language: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((TEMPLATES / language / f"{TEMPLATE_VERSION}.yaml").read_text("utf-8"))
    return loaded


def test_both_languages_say_the_same_things() -> None:
    english, chinese = (_keys({k: v for k, v in _file(lang).items() if k != "labels"}) for lang in ("en", "zh"))
    assert english == chinese


def test_every_signal_concept_drug_class_and_outcome_has_a_chinese_name() -> None:
    named = {
        "signal": {s.name for s in SIGNALS} - {"systolic", "diastolic"},
        "concept": {c.name for c in CONCEPTS if c.negative} - {"miscarriage"},
        "medicine": set(DRUG_CLASSES),
        "outcome": {o.name for o in OUTCOMES},
        "unit": {s.unit for s in SIGNALS} | {o.unit for o in OUTCOMES},
    }
    assert {(g, n) for g, names in named.items() for n in names if look_up_label(g, n, "?", "zh") == "?"} == set()


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0, "today"),
        (1, "yesterday"),
        (13, "13 days ago"),
        (21, "3 weeks ago"),
        (100, "3 months ago"),
        (800, "2 years ago"),
    ],
)
def test_time_is_told_in_the_unit_a_person_would_use(days: int, words: str) -> None:
    assert format_ago(AS_OF - timedelta(days=days), AS_OF) == words


@given(days=st.integers(0, 20_000), language=st.sampled_from(["en", "zh"]))
def test_time_ago_is_never_a_date(days: int, language: str) -> None:
    assert not DATE_LIKE.search(format_ago(AS_OF - timedelta(days=days), AS_OF, language))


@given(record_text)
def test_a_display_is_one_short_line_without_dates_or_fences(text: str) -> None:
    shown = sanitize_record_text(text)
    assert len(shown) <= MAX_RECORD_TEXT
    assert len(shown.splitlines()) <= 1
    assert not DATE_LIKE.search(shown)
    assert not set("<>|{}`") & set(shown)


@given(st.text())
def test_making_text_harmless_twice_changes_nothing_more(text: str) -> None:
    assert sanitize_line(sanitize_line(text)) == sanitize_line(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_keeps_no_marker(text: str) -> None:
    assert not set("<>|{}`\n") & set(sanitize_line(text))


def test_a_dose_is_no_year_and_a_phone_number_is_gone() -> None:
    assert sanitize_record_text("Metformin 2000 MG Oral Tablet") == "metformin 2000 MG Oral Tablet"
    assert "7946" not in sanitize_record_text("call 020 7946 0958 now")


def test_a_record_term_loses_its_semantic_tag() -> None:
    assert sanitize_record_text("Asthma (disorder)") == "asthma"


@pytest.mark.parametrize(
    ("key", "values", "words"),
    [
        ("pregnancy.postpartum", {"weeks": 0}, "ended this week."),
        ("pregnancy.postpartum", {"weeks": 1}, "ended 1 week ago."),
        ("pregnancy.postpartum_range", {"low": 0, "high": 0}, "ended this week."),
        ("pregnancy.postpartum_range", {"low": 0, "high": 2}, "ended within the last 3 weeks."),
        ("pregnancy.postpartum_range", {"low": 2, "high": 4}, "ended between 2 and 4 weeks ago."),
    ],
)
def test_nothing_ended_zero_weeks_ago(key: str, values: dict[str, int], words: str) -> None:
    assert render_sentence(key, **values).endswith(words)
