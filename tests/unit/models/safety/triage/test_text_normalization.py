"""How a patient's words are read before the rules see them."""

from __future__ import annotations

import pytest
import yaml

from models.safety.triage.red_flag_table import compile_alternatives, load_speller
from models.safety.triage.text_normalization import Speller, normalize_text, split_sentences
from models.templates import TEMPLATES


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("She hasn’t moved", "she has not moved"),
        ("i cant breathe, wont stop", "i can not breathe, will not stop"),
        ("shes not moved; baby's stopped", "she is not moved; baby has stopped"),
        ("Post-partum  bleeding", "post partum bleeding"),
    ],
)
def test_contractions_are_opened(written: str, read: str) -> None:
    assert normalize_text(written) == read


def test_a_decimal_point_ends_no_sentence() -> None:
    assert split_sentences(normalize_text("Fever of 38.6. It began today! 真的吗？是")) == [
        "fever of 38.6",
        "it began today",
        "真的吗",
        "是",
    ]


@pytest.mark.parametrize(
    ("written", "corrected"),
    [
        ("hedache", "headache"),
        ("siezure", "seizure"),
        ("vison", "vision"),
        ("contracions", "contraction"),
        ("pian", "pain"),
    ],
)
def test_a_misspelt_word_of_the_table_is_mended(written: str, corrected: str) -> None:
    assert load_speller().mend(written) == corrected


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


@pytest.mark.parametrize(
    ("word", "corrected"),
    [
        ("heavy", "heavy"),
        ("havey", "havey"),
        ("haevy", "heavy"),
        ("heavyy", "heavy"),
        ("haevyy", "haevyy"),
        ("blooding", "bleeding"),
        ("blodding", "bleeding"),
        ("bloddung", "bloddung"),
    ],
)
def test_a_word_is_corrected_at_one_edit_and_from_eight_letters_on_at_two(word: str, corrected: str) -> None:
    lexicon = Speller(frozenset({"heavy", "bleeding"}), frozenset(), frozenset(), {})
    assert lexicon.mend(word) == corrected


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
