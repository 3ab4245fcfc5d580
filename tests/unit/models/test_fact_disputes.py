"""A dispute is of one fact; an allergy is never touched by one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fact_disputes import (
    LISTS,
    Dispute,
    concerns,
    format_statement,
    is_disputed,
    mark_disputed,
    parse_dispute,
    read_statements,
    strip_mark,
)
from models.schema import KINDS

AT = datetime(2026, 6, 10, 12, tzinfo=UTC)
ASTHMA = "SNOMED//195967001"


def dispute(key: str = f"condition:{ASTHMA}", **more: Any) -> Dispute:
    values = {"id": "a" * 32, "subject": 1, "at": AT, "received": AT, "giver": 2, "client": 3, "key": key,
              "codes": (ASTHMA,), "sources": ("line",)}  # fmt: skip
    return Dispute(**values | more)


def test_a_line_is_read_as_it_was_written() -> None:
    assert parse_dispute(dispute().line()) == dispute()
    with pytest.raises(ValueError, match="no line"):
        parse_dispute(dispute().line()[:-9])


@given(group=st.sampled_from(LISTS), kind=st.sampled_from([k for k in KINDS if k.startswith("allergy")]))
def test_no_dispute_concerns_an_allergy(group: str, kind: str) -> None:
    assert not concerns(dispute(f"{group}:{ASTHMA}"), kind, ASTHMA, "line")


@pytest.mark.parametrize(
    ("key", "kind", "code", "source", "meant"),
    [
        (f"condition:{ASTHMA}", "condition", ASTHMA, "another line", True),
        (f"condition:{ASTHMA}", "condition", "SNOMED//1", "line", False),
        (f"suspected:{ASTHMA}", "condition.suspected", ASTHMA, "another line", True),
        (f"condition:{ASTHMA}", "medicine", ASTHMA, "line", False),
        (f"entry:{ASTHMA}", "medicine", ASTHMA, "another line", True),
        ("signal:weight", "observation", ASTHMA, "line", True),
        ("signal:weight", "observation", ASTHMA, "another line", False),
        ("signal:weight", "observation", "LOINC//8480-6", "line", False),
        ("pregnancy", "condition", "SNOMED//77386006", "line", True),
        ("dating", "condition", "ICD10//Z3A.30", "line", True),
        ("dating", "condition", "ICD10//Z3A.30", "another line", False),
    ],
)
def test_which_entries_are_meant(key: str, kind: str, code: str, source: str, meant: bool) -> None:
    assert concerns(dispute(key), kind, code, source) is meant


def test_a_dating_statement_is_meant_whatever_its_code() -> None:
    assert concerns(dispute("dating", codes=()), "observation", "LOINC//11778-8", "line")


def test_a_mark_is_read_back_and_no_name_has_one() -> None:
    kind, text = mark_disputed("condition", ASTHMA, "Asthma")
    assert kind == "condition.suspected"
    assert is_disputed(text or "")
    assert strip_mark(text or "") == "Asthma"
    assert not is_disputed("Asthma disputed")
    assert mark_disputed("observation", "LOINC//29463-7", None) == ("observation.disputed", None)


def test_the_latest_dispute_of_a_fact_counts() -> None:
    early, late = dispute(), dispute(id="b" * 32)
    statements = [(format_statement(late), AT.replace(hour=13)), (format_statement(early), AT)]
    assert [(d.key, d.id, d.at.hour) for d in read_statements(statements)] == [(early.key, late.id, 13)]
