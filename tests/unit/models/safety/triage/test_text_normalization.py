"""How a patient's words are read before the rules see them."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.safety.triage.red_flag_table import compile_alternatives, load_speller
from models.safety.triage.text_normalization import distance, normalize_text, split_sentences
from models.templates import TEMPLATES

words = st.text(alphabet="abcdef", max_size=7)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("She hasn’t moved", "she has not moved"),
        ("i cant breathe, wont stop", "i can not breathe, will not stop"),
        ("shes not moved; baby's stopped", "she is not moved; baby has stopped"),
        ("Post-partum  bleeding", "post partum bleeding"),
    ],
)
def test_contractions_are_opened(said: str, read: str) -> None:
    assert normalize_text(said) == read


def test_a_decimal_point_ends_no_sentence() -> None:
    assert split_sentences(normalize_text("Fever of 38.6. It began today! 真的吗？是")) == [
        "fever of 38.6",
        "it began today",
        "真的吗",
        "是",
    ]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("hedache", "headache"),
        ("siezure", "seizure"),
        ("vison", "vision"),
        ("contracions", "contraction"),
        ("pian", "pain"),
    ],
)
def test_a_misspelt_word_of_the_table_is_mended(said: str, meant: str) -> None:
    assert load_speller().mend(said) == meant


@pytest.mark.parametrize(
    "word",
    [
        "feeding",
        "never",
        "version",
        "spelling",
        "breathe",
        "smoking",
        "fewer",
        "minute",
        "bleeding",
        "sweating",
        "strange",
        "induction",
        "settling",
        "position",
        "depressed",
        "eclampsia",
        "piles",
        "butter",
    ],
)
def test_a_real_word_stays(word: str) -> None:
    assert load_speller().mend(word) == word


@given(a=words, b=words)
def test_distance_is_symmetric_and_zero_only_for_equal_words(a: str, b: str) -> None:
    assert distance(a, b, 9) == distance(b, a, 9)
    assert (distance(a, b, 9) == 0) == (a == b)


@given(a=words, b=words, most=st.integers(0, 3))
def test_a_distance_beyond_the_limit_is_only_said_to_be_beyond(a: str, b: str, most: int) -> None:
    assert distance(a, b, most) == min(distance(a, b, 9), most + 1)


def test_the_tables_syntax_reads_endings_and_gaps() -> None:
    found = compile_alternatives("bleed* | clots ... lemon | 胎动 ... 少")
    assert found.search("she is bleeding")
    assert found.search("clots the size of a lemon")
    assert not found.search("clots one two three four five six seven lemon")
    assert found.search("胎动明显变少")


def test_every_sign_has_a_reason_a_source_and_rules_in_both_languages() -> None:
    table = yaml.safe_load((TEMPLATES / "red_flags.yaml").read_text("utf-8"))
    known = {"sign", "label", "why", "source", "who", "lasting", "weeks_from", "en", "zh", "unless"}
    for sign in table["signs"]:
        assert set(sign) <= known, sign["sign"]
        assert sign["label"] in ("emergency", "urgent")
        assert sign.get("who", "anyone") in ("anyone", "pregnant", "postpartum", "either")
        assert sign["why"]
        assert sign["source"]
        assert sign["en"]
        assert sign["zh"]
    assert len({s["sign"] for s in table["signs"]}) == len(table["signs"])
