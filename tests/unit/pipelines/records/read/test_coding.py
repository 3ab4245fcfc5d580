"""Which coding of a concept is read, and what stands for one that has none."""

from __future__ import annotations

import pytest

from pipelines.records.read.coding import choose_coding

LOINC = "http://loinc.org"


def test_a_coding_whose_code_is_null_is_passed_over_for_one_that_has_a_code() -> None:
    found = choose_coding(
        {"coding": [{"system": LOINC, "code": None}, {"system": LOINC, "code": "718-7"}], "text": "Hb"}
    )
    assert (found.code, found.text) == ("LOINC//718-7", "Hb")


@pytest.mark.parametrize("coding", [{"system": LOINC, "code": None}, {"display": None}, {}])
def test_without_any_code_equal_texts_meet(coding: dict[str, str | None]) -> None:
    one, other = (choose_coding({"coding": [coding], "text": text}) for text in ("Back pain", "back PAIN"))
    assert one.code == other.code
    assert one.code.startswith("TEXT//")


def test_a_code_without_a_system_is_the_clinics_own() -> None:
    assert choose_coding({"coding": [{"system": None, "code": "X 1"}]}).code.startswith("LOCAL//")
