"""A bound says where a value lies only where no value within it lies elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.patient.bounds import is_surely_at_least, is_surely_below
from models.patient.reference_ranges import classify_level

ALLOWS = {
    "<": lambda x, v: x < v,
    "<=": lambda x, v: x <= v,
    ">=": lambda x, v: x >= v,
    ">": lambda x, v: x > v,
    None: lambda x, v: x == v,
}


@given(
    comparator=st.sampled_from(list(ALLOWS)),
    value=st.integers(-40, 40),
    limit=st.integers(-40, 40),
    candidates=st.lists(st.integers(-160, 160), min_size=1),
)
def test_what_is_sure_holds_for_every_value_that_the_bound_allows(
    comparator: str | None, value: int, limit: int, candidates: list[int]
) -> None:
    allowed = [x / 4 for x in (*candidates, 4 * value) if ALLOWS[comparator](x / 4, value)]
    if is_surely_below(value, comparator, limit):
        assert all(x < limit for x in allowed)
    if is_surely_at_least(value, comparator, limit):
        assert all(x >= limit for x in allowed)


@pytest.mark.parametrize(
    ("signal", "value", "comparator", "level"),
    [
        ("glucose", 600, ">", "high"),
        ("glucose", 600, "<", None),
        ("haemoglobin", 7, ">=", None),
        ("haemoglobin", 7, "<", "low"),
        ("haemoglobin", 12, "<", "low"),
        ("haemoglobin", 12, "<=", None),
        ("haemoglobin", 13, ">", None),
        ("haemoglobin", 13, None, "usual"),
        ("glucose", 600, "ad", None),
    ],
)
def test_a_bound_has_a_level_where_it_is_sure(
    signal: str, value: float, comparator: str | None, level: str | None
) -> None:
    assert classify_level(signal, value, comparator=comparator) == level
