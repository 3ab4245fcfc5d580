"""Numbers in words are read as numbers, and no other word is."""

from __future__ import annotations

import pytest

from models.safety.text.number_words import convert_number_words
from models.safety.triage.rules import TriageContext, find_gravest_label, find_red_flags


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a hundred and seventy over one hundred and twelve", "170 over 112"),
        ("one sixty five over one ten", "165 over 110"),
        ("one oh five", "105"),
        ("thirty eight point six", "38.6"),
        ("one side of my face", "one side of my face"),
        ("ten minutes", "ten minutes"),
        ("高压一百六十八，低压一百一", "高压168，低压110"),
        ("一百零五", "105"),
        ("三十八度七", "38.7度"),
        ("38度7", "38.7度"),
        ("吐了十几次", "吐了十几次"),
        ("三十度", "30度"),
    ],
)
def test_a_number_in_words_is_read(written: str, read: str) -> None:
    assert convert_number_words(written) == read


@pytest.mark.parametrize(
    ("message", "label"),
    [
        ("It was one seventy two over one hundred and eleven", "emergency"),
        ("BP 161 112", "emergency"),
        ("sys 142, dia 91", "urgent"),
        ("one eighteen over seventy six", "routine"),
        ("收缩压一百七，舒张压一百一十五", "emergency"),
        ("体温三十八度七", "urgent"),
        ("体温三十六度七", "routine"),
    ],
)
def test_a_value_in_words_is_judged(message: str, label: str) -> None:
    assert (
        find_gravest_label(find_red_flags(message, context=TriageContext(pregnant=True, gestational_weeks=33))) == label
    )
