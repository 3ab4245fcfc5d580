"""Conditions of rules: what they may say, and that the unknown never fires a rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.synthetic.portal.expressions import RuleError, parse_condition

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(NUMBERS, NUMBERS)
def test_comparison_agrees_with_python(value: float, limit: float) -> None:
    facts = {"haemoglobin": value, "limit": limit}
    assert parse_condition("haemoglobin < limit")(facts) == (value < limit)
    assert parse_condition("haemoglobin >= limit")(facts) == (value >= limit)


@given(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS)
def test_comparison_with_an_unknown_fact_is_false(sign: str, limit: float) -> None:
    assert not parse_condition(f"haemoglobin {sign} limit")({"limit": limit})


@given(st.booleans(), st.booleans())
def test_and_or_not_follow_the_laws_of_de_morgan(a: bool, b: bool) -> None:
    facts = {"a": a, "b": b}
    assert parse_condition("not (a and b)")(facts) == parse_condition("not a or not b")(facts)


def test_condition_names_the_facts_it_reads() -> None:
    assert parse_condition("haemoglobin - 1 < 11 and not takes_iron").names == {"haemoglobin", "takes_iron"}


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "facts.clear()", "weeks[0]", "weeks if pregnant else 0", "[1]", "weeks <", "weeks * 2 > 3"],
)
def test_anything_but_a_condition_is_refused(text: str) -> None:
    with pytest.raises(RuleError):
        parse_condition(text)
