"""A valid request is accepted; an invalid one is named by its field, never repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pmlm.api_types import MAX_PATIENT, MAX_QUESTION, PersonalizeRequest

CONTROL = st.sampled_from([chr(c) for c in range(0x20) if chr(c) not in "\n\r\t"] + ["\x7f", "\ud800"])


def fields_of(**request: object) -> set[str]:
    """The fields that a request's error names."""
    with pytest.raises(ValidationError) as raised:
        PersonalizeRequest.model_validate(request)
    return {str(error["loc"][0]) for error in raised.value.errors(include_input=False)}


@pytest.mark.parametrize("question", ["", "   ", "\n\t", "?!…", "a" * (MAX_QUESTION + 1), 7, None])
def test_a_question_that_is_no_question_is_refused_by_name(question: object) -> None:
    assert fields_of(patient="Patient/x", question=question) == {"question"}


@given(before=st.text(max_size=20), control=CONTROL)
def test_binary_is_refused_wherever_it_hides(before: str, control: str) -> None:
    assert "question" in fields_of(patient="x", question=f"{before}{control} tired")


def test_a_patient_reference_is_bounded_and_an_unknown_field_refused() -> None:
    assert fields_of(patient="x" * (MAX_PATIENT + 1), question="tired?") == {"patient"}
    assert fields_of(patient="x", question="tired?", model="gpt") == {"model"}
    assert fields_of(patient="x", question="tired?", language="xx") == {"language"}


def test_an_error_never_repeats_what_was_sent() -> None:
    with pytest.raises(ValidationError) as raised:
        PersonalizeRequest(patient="Patient/secret-reference", question="my secret question\x00")
    assert "secret" not in str(raised.value)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=200))
def test_any_readable_question_is_taken_as_it_is_but_for_outer_space(question: str) -> None:
    if any(c.isalnum() for c in question):
        assert PersonalizeRequest(patient="x", question=question).question == question.strip()
