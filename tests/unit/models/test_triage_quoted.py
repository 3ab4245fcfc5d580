"""What a message quotes of a leaflet or a form tells nothing of her; what she says herself does."""

from __future__ import annotations

import pytest

from models.safety import label_of, red_flags
from models.triage.quoted import unquoted
from models.triage.wording import normal


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ('The card says "severe pain or heavy bleeding". May I swim?', 'the card says "". may i swim?'),
        ("Book page: 'clots and fainting' - is it old?", 'book page: "" - is it old?'),
        ("册子上写“剧烈头痛、眼花”，能多给我一本吗", '册子上写"",能多给我一本吗'),
        ('{"reason": "seizure", "message": "I am bleeding"}', '{"reason": "", "message": "i am bleeding"}'),
    ],
)
def test_a_leaflets_words_are_taken_out(message: str, read: str) -> None:
    assert unquoted(normal(message)) == read


@pytest.mark.parametrize(
    "message",
    [
        'I said "I am bleeding heavily" and nobody came',
        "My baby's not moved since yesterday and it's week 33",
        'He has "stopped moving", as my mother puts it',
    ],
)
def test_her_own_words_stay(message: str) -> None:
    assert unquoted(normal(message)) == normal(message)


def test_a_sign_outside_of_the_quotation_counts() -> None:
    told = 'The leaflet says "call if you have a headache". I have chest pain right now.'
    assert label_of(red_flags(told)) == "emergency"
    assert label_of(red_flags('The leaflet says "call if you have chest pain". May I have a second copy?')) == "routine"
