"""Which codes end by themselves, and how HCUP's indicator narrows them."""

from __future__ import annotations

import pytest

from models.patient.acute_conditions import is_acute_code, narrow_rows, read_indicator, read_rows
from models.patient.currency import is_acute

#: The shape of HCUP's CCIR v2023.1 (AHRQ, public domain): words, then quoted codes without a dot.
RELEASE = """Chronic Condition Indicator Refined v2023.1,,
(0=Not chronic 1=Chronic and 9=No determination),,
'ICD-10-CM CODE','ICD-10-CM CODE DESCRIPTION','CHRONIC INDICATOR'
'A390',"Meningococcal meningitis",0
'A393',"Chronic meningococcemia",0
'A3983',"Meningococcal arthritis",0
'A3984',"Postmeningococcal arthritis",1
'B000',"Eczema herpeticum",1
'R290',"Tetany",0
'R29700',"NIHSS score 0",9
"""
CHOSEN = [{"system": "ICD10", "code": code, "course": "acute", "example": ""} for code in ("A39", "B00", "R29", "Z99")]
SNOMED = {"system": "SNOMED", "code": "45816000", "course": "acute", "example": "Pyelonephritis"}


def _narrow(rows: list[dict[str, str]]) -> dict[str, str]:
    narrowed = narrow_rows(rows, read_indicator(RELEASE.splitlines()))
    return {row["code"]: row["course"] for row in narrowed}


def test_a_prefix_excepts_what_lasts_below_it_and_goes_where_all_of_it_lasts() -> None:
    assert _narrow([*CHOSEN, SNOMED]) == {
        "A39": "acute",
        "A39.3": "lasting",
        "A39.84": "lasting",
        "R29": "acute",
        "R29.7": "lasting",
        "45816000": "acute",
    }


def test_narrowing_only_narrows_and_changes_nothing_the_second_time() -> None:
    lasting = {"system": "ICD10", "code": "A39.0", "course": "lasting", "example": ""}
    once = narrow_rows([*CHOSEN, lasting], read_indicator(RELEASE.splitlines()))
    assert {row["code"]: row["course"] for row in once}["A39.0"] == "lasting"
    assert narrow_rows(once, read_indicator(RELEASE.splitlines())) == once


def test_another_file_is_refused() -> None:
    with pytest.raises(ValueError, match="Chronic Condition Indicator"):
        read_indicator(["code,title", "A39,Meningococcal meningitis"])


@pytest.mark.parametrize(
    ("code", "acute"),
    [
        ("N76.0", True),
        ("N76", True),  # as ICD-10 has it, without the fourth character
        ("N76.1", False),  # subacute and chronic vaginitis
        ("R11.2", True),
        ("R11.15", False),  # cyclical vomiting
        ("B00.1", False),  # herpes comes back
        ("N73.6", False),  # adhesions stay
        ("R64", False),
        ("S06.0X0A", True),
        ("S06.2X0A", False),
        ("I10", False),
        ("N7", False),
    ],
)
def test_the_longest_listed_prefix_of_a_code_counts(code: str, acute: bool) -> None:
    assert is_acute_code("ICD10", code) is acute


def test_every_listed_code_has_the_course_of_its_row() -> None:
    rows = read_rows()
    assert len(rows) > 400
    for row in rows:
        assert is_acute_code(row["system"], row["code"]) is (row["course"] == "acute"), row
        if row["system"] == "ICD10":
            assert row["code"][0].isalpha()
            assert row["course"] == "lasting" or "chronic" not in row["example"].lower().replace("acute or chronic", "")
        else:
            assert row["code"].isdigit()
            assert is_acute(f"SNOMED//{row['code']}", row["example"])
